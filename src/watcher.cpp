// SPDX-License-Identifier: MIT
#include "watcher.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <deque>

#include "base/clock.h"
#include "base/log.h"
#include "dead_daemons.h"
#include "tree_mounts.h"

namespace agentfs {
namespace {

struct Pipe {
  UniqueFd reading;
  UniqueFd writing;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

constexpr char kReady = 'R';  // on the report pipe: mounted; anything else is the reason why not
constexpr char kBeat = '.';

// The daemon, in its own process. Never returns.
[[noreturn]] void be_daemon(const StateDirectory& state, const DaemonOptions& options,
                            UniqueFd report, UniqueFd beats) {
  ::prctl(PR_SET_NAME, "agentfs");
  log::to_file(state.file("log/agentfs.log"));
  const auto ready = [&] {
    [[maybe_unused]] const auto told = ::write(report.get(), &kReady, 1);
    report.reset();
  };
  const int beat_to = beats.get();
  const Status served = run_daemon(state, options, ready, [beat_to] {
    [[maybe_unused]] const auto told = ::write(beat_to, &kBeat, 1);
  });
  if (served) ::_exit(0);
  if (served.error().code == ECANCELED) {
    log::info("{}", served.error().message);
    ::_exit(0);
  }
  const std::string why = with_advice(served.error()).message;
  log::error("{}", why);
  if (report) {
    [[maybe_unused]] const auto told = file::write_all(report.get(), why);
  }
  ::_exit(1);
}

struct Child {
  pid_t pid = -1;
  UniqueFd report;
  UniqueFd beats;
};

// `closed` is the watcher's own descriptor that the daemon must not hold open, or null.
Result<Child> fork_daemon(const StateDirectory& state, const DaemonOptions& options,
                          UniqueFd* closed) {
  Pipe report = TRY(make_pipe());
  Pipe beats = TRY(make_pipe());
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno("fork");
  if (pid == 0) {
    if (closed != nullptr) closed->reset();
    report.reading.reset();
    beats.reading.reset();
    ::fcntl(beats.writing.get(), F_SETFL, O_NONBLOCK);
    be_daemon(state, options, std::move(report.writing), std::move(beats.writing));
  }
  return Child{pid, std::move(report.reading), std::move(beats.reading)};
}

// Does the mount answer? Asked in a child, which may be stuck with the daemon until that is ended.
class Probe {
 public:
  explicit Probe(const std::string& mountpoint) : mountpoint_(mountpoint) {}
  // Asks now and then; false once an answer has been due for longer than the limit.
  bool check(std::int64_t now, std::int64_t limit) {
    int status = 0;
    if (child_ > 0 && ::waitpid(child_, &status, WNOHANG) == child_) child_ = 0;
    if (child_ > 0) return now - started_ < limit;
    if (now - started_ < limit / 3) return true;
    child_ = ::fork();
    started_ = now;
    if (child_ == 0) ask();
    return true;
  }
  void collect() {
    if (child_ > 0) ::waitpid(child_, nullptr, 0);
    child_ = 0;
  }

 private:
  // The trees may be served by other threads than the rest. Nobody's umount is to find the mount
  // busy for being asked.
  [[noreturn]] void ask() const {
    const auto copy = copy_mounts(mountpoint_);
    const std::string root = copy ? fmt::format("/proc/self/fd/{}", copy->get()) : mountpoint_;
    struct statvfs unused{};
    for (const std::string_view place : {std::string_view(), kTreePaths[0]}) {
      ::statvfs(fmt::format("{}{}", root, place).c_str(), &unused);
    }
    ::_exit(0);
  }

  std::string mountpoint_;
  pid_t child_ = 0;
  std::int64_t started_ = 0;
};

struct End {
  int status = 0;
  bool may_be_gone = false;  // its mount, by us
};

// It has said that it serves, or why it does not.
bool has_started(const Child& child) {
  pollfd report{.fd = child.report.get(), .events = POLLIN, .revents = 0};
  return ::poll(&report, 1, 0) == 1;
}

// A start says nothing while it reads the state, which may be large and the machine busy.
constexpr int kStart = 20;  // times the silence that counts as hanging

// Waits for the daemon's end; ends it itself when neither its event thread nor its mount answers.
End watch(const Child& child, const std::string& mountpoint, std::int64_t hang) {
  const SystemClock clock;
  Probe probe(mountpoint);
  std::int64_t last_beat = clock.steady();
  bool is_starting = true;
  End end;
  while (::waitpid(child.pid, &end.status, WNOHANG) == 0) {
    pollfd beats{.fd = child.beats.get(), .events = POLLIN, .revents = 0};
    const int step = static_cast<int>(std::min<std::int64_t>(hang / 4'000'000 + 1, 2'000));
    if (::poll(&beats, 1, step) == 1) {
      std::array<char, 64> drained{};
      const auto got = ::read(child.beats.get(), drained.data(), drained.size());
      if (got > 0) last_beat = clock.steady();
      if (got == 0) {  // it is ending: wait for that, but not for ever
        pollfd nothing{.fd = -1, .events = 0, .revents = 0};
        ::poll(&nothing, 1, 10);
      }
    }
    const std::int64_t now = clock.steady();
    if (is_starting && has_started(child)) {
      is_starting = false;
      last_beat = now;
    }
    const bool silent = now - last_beat > (is_starting ? kStart * hang : hang);
    if (is_dying(child.pid)) {
      if (const Status ended = end_dying(child.pid, mountpoint); !ended) {
        log::error("{}", ended.error().message);
      }
    } else if (silent || (!is_starting && !probe.check(now, hang))) {
      log::error("the daemon (pid {}) hangs: ended", child.pid);
      ::kill(child.pid, SIGKILL);
      end.may_be_gone = !cut_off(mountpoint);
      ::waitpid(child.pid, &end.status, 0);
      break;
    }
  }
  probe.collect();
  return end;
}

bool ended_well(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 0; }

// Starts the daemon again as long as it dies of something else than its own will, and nobody takes
// away what the dead one left at the mountpoint.
void watch_for_ever(const StateDirectory& state, DaemonOptions options,
                    const WatcherOptions& watcher, Child child) {
  const SystemClock clock;
  std::deque<std::int64_t> starts;
  for (;;) {
    const std::int64_t hang = std::chrono::nanoseconds(watcher.hang).count();
    const End end = watch(child, options.mountpoint, hang);
    if (ended_well(end.status)) return;
    log::error("the daemon (pid {}) ended with status {:#x}; starting it again", child.pid,
               end.status);
    options.succeeds = !end.may_be_gone;
    const std::int64_t now = clock.steady();
    starts.push_back(now);
    while (now - starts.front() > 60'000'000'000) starts.pop_front();
    if (static_cast<int>(starts.size()) > watcher.restarts) {
      log::error("{} starts within a minute: giving up", starts.size());
      return;
    }
    auto next = fork_daemon(state, options, nullptr);
    if (!next) {
      log::error("{}", next.error().message);
      return;
    }
    child = *std::move(next);
  }
}

void detach() {
  ::setsid();
  const UniqueFd null(::open("/dev/null", O_RDWR));
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null.get(), fd);
  if (::chdir("/") != 0) ::_exit(1);
}

[[noreturn]] void be_watcher(const StateDirectory& state, const DaemonOptions& options,
                             const WatcherOptions& watcher, UniqueFd report) {
  ::prctl(PR_SET_NAME, kWatcherName);
  detach();
  log::to_file(state.file("log/watcher.log"));
  auto child = fork_daemon(state, options, &report);
  if (!child) {
    [[maybe_unused]] const auto told = file::write_all(report.get(), child.error().message);
    ::_exit(1);
  }
  // What the first daemon says goes on to who started us.
  if (const auto said = file::read(child->report.get())) {
    [[maybe_unused]] const auto told = file::write_all(report.get(), *said);
    report.reset();
    if (!said->starts_with(kReady)) {
      ::waitpid(child->pid, nullptr, 0);
      ::_exit(1);
    }
  }
  watch_for_ever(state, options, watcher, *std::move(child));
  ::_exit(0);
}

}  // namespace

Status start_in_background(StateDirectory state, const DaemonOptions& daemon,
                           const WatcherOptions& watcher) {
  Pipe report = TRY(make_pipe());
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno("fork");
  if (pid == 0) {
    report.reading.reset();
    be_watcher(state, daemon, watcher, std::move(report.writing));
  }
  report.writing.reset();
  const std::string said = TRY(file::read(report.reading.get()));
  if (said.empty()) {
    return fail(EIO, "the daemon ended before it mounted; {} says why",
                state.file("log/agentfs.log"));
  }
  if (said[0] != kReady) return fail(EIO, "{}", said);
  struct statvfs answered{};
  if (::statvfs(daemon.mountpoint.c_str(), &answered) != 0) return fail_errno(daemon.mountpoint);
  return ok();
}

}  // namespace agentfs
