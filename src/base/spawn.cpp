// SPDX-License-Identifier: MIT
#include "base/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include "base/clock.h"

namespace agentfs {
namespace {

constexpr int kOutOfTheWay = 16;
constexpr std::int64_t kBriefly = 5'000'000'000;

// The two objects posix_spawn wants, as one.
class SpawnSettings {
 public:
  SpawnSettings() {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawnattr_init(&attributes_);
    sigset_t set;
    sigemptyset(&set);
    ::posix_spawnattr_setsigmask(&attributes_, &set);
    sigfillset(&set);
    ::posix_spawnattr_setsigdefault(&attributes_, &set);
    ::posix_spawnattr_setflags(
        &attributes_,
        static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID));
    ::posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_addchdir_np(&actions_, "/");
  }
  ~SpawnSettings() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  void give(GivenFd fd) { ::posix_spawn_file_actions_adddup2(&actions_, fd.ours, fd.theirs); }
  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

// Reads until the end of the pipe or the deadline; true at the end.
bool collect(int fd, std::string& output, std::int64_t deadline) {
  for (;;) {
    const std::int64_t left = deadline - SystemClock{}.steady();
    pollfd waiting{fd, POLLIN, 0};
    if (left <= 0 || ::poll(&waiting, 1, static_cast<int>(left / 1'000'000)) == 0) return false;
    std::array<char, 4096> chunk{};
    const ssize_t got = ::read(fd, chunk.data(), chunk.size());
    if (got == 0) return true;
    if (got > 0) output.append(chunk.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace

UniqueFd open_pidfd(pid_t pid) {
  return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

void send_signal(const UniqueFd& process, int signal_number) {
  ::syscall(SYS_pidfd_send_signal, process.get(), signal_number, nullptr, 0);
}

Result<UniqueFd> out_of_the_way(UniqueFd fd) {
  UniqueFd moved(::fcntl(fd.get(), F_DUPFD_CLOEXEC, kOutOfTheWay));
  if (!moved) return fail_errno("file descriptor");
  return moved;
}

Result<Spawned> spawn(const std::vector<std::string>& arguments, const std::vector<GivenFd>& fds) {
  SpawnSettings settings;
  for (const GivenFd fd : fds) settings.give(fd);
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::array<char*, 1> environment{nullptr};
  Spawned spawned;
  const int code = ::posix_spawn(&spawned.pid, argv[0], settings.actions(), settings.attributes(),
                                 argv.data(), environment.data());
  if (code != 0) return fail_errno(code, arguments[0]);
  spawned.process = open_pidfd(spawned.pid);
  if (spawned.process) return spawned;
  const int refused = errno;
  ::kill(spawned.pid, SIGKILL);
  ::waitpid(spawned.pid, nullptr, 0);
  return fail_errno(refused, "pidfd_open");
}

Result<BriefRun> run_briefly(const std::vector<std::string>& arguments) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("pipe");
  const UniqueFd output(ends[0]);
  UniqueFd input = TRY(out_of_the_way(UniqueFd(ends[1])));
  const Spawned spawned =
      TRY(spawn(arguments, {{input.get(), STDOUT_FILENO}, {input.get(), STDERR_FILENO}}));
  input.reset();
  BriefRun run;
  if (!collect(output.get(), run.output, SystemClock{}.steady() + kBriefly)) {
    ::kill(spawned.pid, SIGKILL);
  }
  int status = 0;
  while (::waitpid(spawned.pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status)) run.exit_code = WEXITSTATUS(status);
  return run;
}

Result<std::string> find_own_program(std::string_view name) {
  std::error_code code;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", code);
  if (code) return fail(code.value(), "/proc/self/exe: {}", code.message());
  const std::string beside = self.parent_path() / name;
  if (::access(beside.c_str(), X_OK) == 0) return beside;
  const std::string installed = self.parent_path().parent_path() / "libexec/agentfs" / name;
  if (::access(installed.c_str(), X_OK) == 0) return installed;
  return fail(ENOENT, "{}: not found (neither {} nor {}); install agentfs whole", name, beside,
              installed);
}

}  // namespace agentfs
