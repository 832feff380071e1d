// SPDX-License-Identifier: MIT
// Times file operations for scripts/bench: measure WHAT ARGUMENT... prints "name nanoseconds" for
// one operation of each kind, or for `messages` how many a second. Needs nothing but a compiler.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace {

using Words = std::vector<std::string>;

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "measure: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

int open_or_die(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0644);
  if (fd < 0) die(path);
  return fd;
}

void write_or_die(int fd, const std::string& text, const std::string& path) {
  if (::write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size())) die(path);
}

std::string read_all(int fd, const std::string& path) {
  std::string text;
  char piece[16384];
  for (ssize_t got = 0; (got = ::read(fd, piece, sizeof piece)) != 0;) {
    if (got < 0) die(path);
    text.append(piece, static_cast<std::size_t>(got));
  }
  return text;
}

// Runs `one` for 0 … count-1 and gives the seconds that all of it took.
double seconds(int count, const std::function<void(int)>& one) {
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < count; ++i) one(i);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void tell(const char* name, int count, double taken) {
  std::printf("%s %.1f\n", name, taken * 1e9 / count);
}

// read FILE COUNT: open, read to the end, close.
void read_file(const Words& words) {
  const int count = std::stoi(words[1]);
  tell("read", count, seconds(count, [&](int) {
         const int fd = open_or_die(words[0], O_RDONLY);
         read_all(fd, words[0]);
         ::close(fd);
       }));
}

// lines FILE COUNT LINE: a line at a time, on one descriptor and with one opened for each.
void write_lines(const Words& words) {
  const int count = std::stoi(words[1]);
  const std::string line = words[2] + "\n";
  const int kept = open_or_die(words[0], O_WRONLY | O_CREAT | O_TRUNC);
  tell("line", count, seconds(count, [&](int) { write_or_die(kept, line, words[0]); }));
  ::close(kept);
  tell("open+line", count, seconds(count, [&](int) {
         const int fd = open_or_die(words[0], O_WRONLY | O_TRUNC);
         write_or_die(fd, line, words[0]);
         ::close(fd);
       }));
}

// files DIRECTORY COUNT: 4 KiB files, made, read, looked at, renamed and removed.
void small_files(const Words& words) {
  const int count = std::stoi(words[1]);
  const std::string text(4096, 'x');
  const auto path = [&](const char* stem, int i) {
    return words[0] + "/" + stem + std::to_string(i);
  };
  tell("create", count, seconds(count, [&](int i) {
         const int fd = open_or_die(path("a", i), O_WRONLY | O_CREAT | O_EXCL);
         write_or_die(fd, text, words[0]);
         ::close(fd);
       }));
  tell("read", count, seconds(count, [&](int i) {
         const int fd = open_or_die(path("a", i), O_RDONLY);
         read_all(fd, words[0]);
         ::close(fd);
       }));
  struct stat status{};
  tell("stat", count, seconds(count, [&](int i) {
         if (::stat(path("a", i).c_str(), &status) != 0) die(path("a", i));
       }));
  tell("rename", count, seconds(count, [&](int i) {
         if (::rename(path("a", i).c_str(), path("b", i).c_str()) != 0) die(path("b", i));
       }));
  tell("unlink", count, seconds(count, [&](int i) {
         if (::unlink(path("b", i).c_str()) != 0) die(path("b", i));
       }));
}

// stream FILE MEBIBYTES: sequential write with a final fsync, then a read that is not cached. In
// nanoseconds a MiB.
void stream(const Words& words) {
  const int count = std::stoi(words[1]);
  std::string piece(std::size_t{1} << 20, 'x');
  const int out = open_or_die(words[0], O_WRONLY | O_CREAT | O_TRUNC);
  double taken = seconds(count, [&](int) { write_or_die(out, piece, words[0]); });
  taken += seconds(1, [&](int) {
    if (::fsync(out) != 0) die(words[0]);
  });
  tell("write", count, taken);
  if (::posix_fadvise(out, 0, 0, POSIX_FADV_DONTNEED) != 0) die(words[0]);
  ::close(out);
  const int in = open_or_die(words[0], O_RDONLY);
  tell("read", count, seconds(count, [&](int) {
         for (std::size_t at = 0; at < piece.size();) {
           const ssize_t got = ::read(in, piece.data() + at, piece.size() - at);
           if (got <= 0) die(words[0]);
           at += static_cast<std::size_t>(got);
         }
       }));
  ::close(in);
  if (::unlink(words[0].c_str()) != 0) die(words[0]);
}

// messages MOUNT COUNT PID...: so many messages to each process, each awaited; how many a second.
void messages(const Words& words) {
  const int count = std::stoi(words[1]);
  const int agents = static_cast<int>(words.size()) - 2;
  const double taken = seconds(1, [&](int) {
    std::vector<std::thread> threads;
    for (int i = 0; i < agents; ++i) {
      threads.emplace_back([&, process = words[0] + "/proc/" + words[2 + i]] {
        for (int sent = 0; sent < count; ++sent) {
          const int chat = open_or_die(process + "/chat", O_WRONLY);
          write_or_die(chat, "go on\n", process + "/chat");
          ::close(chat);
          const int wait = open_or_die(process + "/wait", O_RDONLY);
          if (read_all(wait, process + "/wait").empty()) die(process + "/wait: empty answer");
          ::close(wait);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
  std::printf("messages %.1f\n", count * agents / taken);
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, std::pair<std::size_t, void (*)(const Words&)>> measures = {
      {"read", {2, read_file}}, {"lines", {3, write_lines}}, {"files", {2, small_files}},
      {"stream", {2, stream}},  {"messages", {3, messages}},
  };
  const Words words(argv + (argc > 1 ? 2 : 1), argv + argc);
  const auto found = measures.find(argc > 1 ? argv[1] : "");
  if (found == measures.end() || words.size() < found->second.first) {
    std::fputs("usage: measure read|lines|files|stream|messages ARGUMENT...\n", stderr);
    return 2;
  }
  found->second.second(words);
  return 0;
}
