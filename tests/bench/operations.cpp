// SPDX-License-Identifier: MIT
// One line of `scripts/bench workspaces`: operations WHAT DIRECTORY COUNT does the operation COUNT
// times in a directory and prints the nanoseconds that one of them took, and those of this
// process's CPU. In the order of the table below each finds what those before it left. Needs
// nothing but a compiler.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>

namespace {

constexpr std::size_t kSmall = 4096;
constexpr std::size_t kPiece = std::size_t{1} << 20;  // of what is sequential
constexpr int kMost = 64;  // pieces of the file that is written at random

struct Work {
  std::string directory;
  int count;
  std::string path(const char* stem, int i) const {
    return directory + "/" + stem + std::to_string(i);
  }
  std::string big() const { return directory + "/big"; }
};

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "operations: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

int open_or_die(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0644);
  if (fd < 0) die(path);
  return fd;
}

void whole(ssize_t done, std::size_t wanted, const std::string& path) {
  if (done != static_cast<ssize_t>(wanted)) die(path);
}

double nanoseconds(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// What `all` took, told for each of `count`.
template <class All>
void tell(int count, const All& all) {
  const double time = nanoseconds(CLOCK_MONOTONIC);
  const double work = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
  all();
  const double worked = nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - work;
  std::printf("%.1f %.1f\n", (nanoseconds(CLOCK_MONOTONIC) - time) / count, worked / count);
}

template <class One>
void tell_each(int count, const One& one) {
  tell(count, [&] {
    for (int i = 0; i < count; ++i) one(i);
  });
}

void create(const Work& work) {
  const std::string text(kSmall, 'x');
  tell_each(work.count, [&](int i) {
    const int fd = open_or_die(work.path("a", i), O_WRONLY | O_CREAT | O_EXCL);
    whole(::write(fd, text.data(), text.size()), text.size(), work.directory);
    ::close(fd);
  });
}

void read_files(const Work& work) {
  char text[kSmall];
  tell_each(work.count, [&](int i) {
    const int fd = open_or_die(work.path("a", i), O_RDONLY);
    whole(::read(fd, text, sizeof text), sizeof text, work.directory);
    ::close(fd);
  });
}

void stat_files(const Work& work) {
  struct stat status{};
  tell_each(work.count, [&](int i) {
    if (::stat(work.path("a", i).c_str(), &status) != 0) die(work.path("a", i));
  });
}

void stat_missing(const Work& work) {
  struct stat status{};
  tell_each(work.count, [&](int i) {
    if (::stat(work.path("none", i).c_str(), &status) == 0 || errno != ENOENT) {
      die(work.path("none", i));
    }
  });
}

// Opens, lists and closes the directory and asks for each entry's attributes.
int list_once(const Work& work) {
  DIR* const directory = ::opendir(work.directory.c_str());
  if (directory == nullptr) die(work.directory);
  struct stat status{};
  int seen = 0;
  while (const dirent* const entry = ::readdir(directory)) {
    if (::fstatat(::dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
      die(entry->d_name);
    }
    ++seen;
  }
  ::closedir(directory);
  return seen;
}

// The first listing fills the caches of both sides and is not measured.
void list(const Work& work) {
  const int entries = list_once(work);
  const int times = entries < work.count ? work.count / entries + 1 : 1;
  tell(times * entries, [&] {
    for (int i = 0; i < times; ++i) list_once(work);
  });
}

void rename_files(const Work& work) {
  tell_each(work.count, [&](int i) {
    if (::rename(work.path("a", i).c_str(), work.path("b", i).c_str()) != 0) die(work.path("a", i));
  });
}

void unlink_files(const Work& work) {
  tell_each(work.count, [&](int i) {
    if (::unlink(work.path("b", i).c_str()) != 0) die(work.path("b", i));
  });
}

void write_stream(const Work& work) {
  const std::string piece(kPiece, 'x');
  const int fd = open_or_die(work.big(), O_WRONLY | O_CREAT | O_TRUNC);
  tell_each(work.count,
            [&](int) { whole(::write(fd, piece.data(), piece.size()), piece.size(), work.big()); });
  ::close(fd);
}

// The mount's own pages are dropped first; what is in the disk's cache stays there.
void read_stream(const Work& work) {
  std::string piece(kPiece, ' ');
  const int fd = open_or_die(work.big(), O_RDONLY);
  if (::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0) die(work.big());
  tell_each(work.count, [&](int) {
    for (std::size_t at = 0; at < piece.size();) {
      const ssize_t got = ::read(fd, piece.data() + at, piece.size() - at);
      if (got <= 0) die(work.big());
      at += static_cast<std::size_t>(got);
    }
  });
  ::close(fd);
}

void write_at_random(const Work& work) {
  const std::string text(kSmall, 'y');
  const int fd = open_or_die(work.big(), O_WRONLY);
  if (::ftruncate(fd, static_cast<off_t>(kMost * kPiece)) != 0) die(work.big());
  std::uint64_t random = 1;
  tell_each(work.count, [&](int) {
    random = random * 6364136223846793005U + 1442695040888963407U;
    const std::uint64_t block = (random >> 33U) % (kMost * kPiece / kSmall);
    whole(::pwrite(fd, text.data(), text.size(), static_cast<off_t>(block * kSmall)), text.size(),
          work.big());
  });
  ::close(fd);
}

void append(const Work& work) {
  const std::string text(100, 'z');
  const std::string path = work.directory + "/log";
  const int fd = open_or_die(path, O_WRONLY | O_CREAT | O_APPEND);
  tell_each(work.count,
            [&](int) { whole(::write(fd, text.data(), text.size()), text.size(), path); });
  ::close(fd);
}

constexpr struct {
  const char* name;
  void (*work)(const Work&);
} kLines[] = {
    {"create", create},
    {"read", read_files},
    {"stat", stat_files},
    {"missing", stat_missing},
    {"list", list},
    {"rename", rename_files},
    {"unlink", unlink_files},
    {"stream-write", write_stream},
    {"stream-read", read_stream},
    {"random-write", write_at_random},
    {"append", append},
};

}  // namespace

int main(int argc, char** argv) {
  for (const auto& line : kLines) {
    if (argc != 4 || std::strcmp(argv[1], line.name) != 0) continue;
    line.work(Work{argv[2], std::atoi(argv[3])});
    return 0;
  }
  std::fputs("usage: operations WHAT DIRECTORY COUNT\n", stderr);
  return 2;
}
