// SPDX-License-Identifier: MIT
#include "backends/exec/command.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "backends/exec/inside/protocol.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"

namespace agentfs::exec {
namespace {

using std::chrono::milliseconds;

constexpr int kChunksARound = 16;          // 1 MiB, then others have their turn
constexpr std::int64_t kFloodFactor = 16;  // of the output that is kept
constexpr std::int64_t kSmallestFlood = 1 << 20;
constexpr milliseconds kForce{1000};     // from asking a supervisor to killing all
constexpr milliseconds kGiveUp{10'000};  // from killing to answering without an end
constexpr milliseconds kGroupRetry{5};
constexpr int kGroupAttempts = 200;

Result<UniqueFd> memory_file(std::string_view bytes) {
  UniqueFd fd(::memfd_create("agentfs-spec", MFD_CLOEXEC));
  if (!fd) return fail_errno("memfd");
  TRY(file::write_all(fd.get(), bytes));
  return out_of_the_way(std::move(fd));
}

struct Ends {
  UniqueFd ours;
  UniqueFd theirs;
};

Result<Ends> output_pipe() {
  std::array<int, 2> fds{};
  if (::pipe2(fds.data(), O_CLOEXEC) != 0) return fail_errno("pipe");
  UniqueFd ours(fds[0]);
  UniqueFd theirs = TRY(out_of_the_way(UniqueFd(fds[1])));
  ::fcntl(ours.get(), F_SETFL, O_NONBLOCK);
  return Ends{std::move(ours), std::move(theirs)};
}

Result<Ends> control_socket() {
  std::array<int, 2> fds{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()) != 0) {
    return fail_errno("socketpair");
  }
  UniqueFd ours(fds[0]);
  UniqueFd theirs = TRY(out_of_the_way(UniqueFd(fds[1])));
  return Ends{std::move(ours), std::move(theirs)};
}

std::uint64_t pid_namespace_of(pid_t pid) {
  struct stat attributes{};
  const std::string path = fmt::format("/proc/{}/ns/pid", pid);
  return ::stat(path.c_str(), &attributes) == 0 ? attributes.st_ino : 0;
}

std::string signal_name(int number) {
  const char* name = ::sigabbrev_np(number);
  return name != nullptr ? name : fmt::format("{}", number);
}

}  // namespace

Command::Command(EventLoop& loop, ExecRequest request, Started started, Completion<ExecReply> done)
    : loop_(loop),
      request_(std::move(request)),
      started_(std::move(started)),
      done_(std::move(done)) {}

Command::~Command() { close_everything(); }

void Command::begin(Launch launch, std::function<void()> gone) {
  launch_ = std::move(launch);
  begun_ = SystemClock{}.steady();
  if (auto begun = open_and_spawn(); !begun) {
    done_.complete(std::unexpected(std::move(begun).error()));
    gone();
    return;
  }
  gone_ = std::move(gone);
  watch();
  const std::int64_t timeout = request_.limits.timeout_ms;
  if (timeout > 0) timeout_ = loop_.after(milliseconds(timeout), [this] { stop("timeout"); });
}

Status Command::open_and_spawn() {
  const UniqueFd specification = TRY(memory_file(launch_.specification));
  Ends output = TRY(output_pipe());
  Ends info = TRY(output_pipe());
  Ends control = TRY(control_socket());
  const int written = output.theirs.get();
  Spawned spawned = TRY(spawn(launch_.arguments, {{written, STDOUT_FILENO},
                                                  {written, STDERR_FILENO},
                                                  {control.theirs.get(), kControlFd},
                                                  {specification.get(), kSpecFd},
                                                  {info.theirs.get(), kInfoFd}}));
  process_ = std::move(spawned.process);
  pid_ = spawned.pid;
  output_pipe_ = std::move(output.ours);
  info_pipe_ = std::move(info.ours);
  control_ = std::move(control.ours);
  return ok();
}

void Command::watch() {
  loop_.watch(output_pipe_.get(), EPOLLIN, [this](std::uint32_t) { on_output(); });
  loop_.watch(control_.get(), EPOLLIN, [this](std::uint32_t) { on_control(); });
  loop_.watch(process_.get(), EPOLLIN, [this](std::uint32_t) { on_exit(); });
  if (request_.sandbox) {
    loop_.watch(info_pipe_.get(), EPOLLIN, [this](std::uint32_t) { on_info(); });
  } else {
    identity_.host_pid = pid_;
  }
}

void Command::on_output() {
  read_output(kChunksARound);
  const std::int64_t all = static_cast<std::int64_t>(output_.size()) + dropped_;
  const std::int64_t flood = std::max(kSmallestFlood, kFloodFactor * request_.limits.output_bytes);
  if (all > flood) stop("output");
}

bool Command::read_output(int most_chunks) {
  std::array<char, 64 << 10> chunk;
  for (int i = 0; i < most_chunks && output_pipe_; ++i) {
    const ssize_t got = ::read(output_pipe_.get(), chunk.data(), chunk.size());
    if (got < 0) return errno == EINTR;
    if (got == 0) {
      // The end before the command's: it has closed its output, or is at the point of ending.
      loop_.unwatch(output_pipe_.get());
      output_pipe_.reset();
      return false;
    }
    keep_output({chunk.data(), static_cast<std::size_t>(got)});
  }
  return true;
}

void Command::keep_output(std::string_view bytes) {
  const auto limit =
      static_cast<std::size_t>(std::max<std::int64_t>(request_.limits.output_bytes, 0));
  const std::size_t kept = std::min(bytes.size(), limit - std::min(limit, output_.size()));
  output_ += bytes.substr(0, kept);
  dropped_ += static_cast<std::int64_t>(bytes.size() - kept);
}

void Command::on_info() {
  std::array<char, 4096> chunk;
  const ssize_t got = ::read(info_pipe_.get(), chunk.data(), chunk.size());
  if (got < 0) return;
  if (got > 0) {
    info_.append(chunk.data(), static_cast<std::size_t>(got));
    return;
  }
  loop_.unwatch(info_pipe_.get());
  info_pipe_.reset();
  const auto info = json::parse(info_);
  if (!info) return;  // bubblewrap failed; its end says so
  identity_.host_pid = static_cast<pid_t>((*info)["child-pid"].number());
  identity_.pid_namespace = static_cast<std::uint64_t>((*info)["pid-namespace"].number());
  UniqueFd init = open_pidfd(identity_.host_pid);
  // Looked at after the descriptor was opened: the number may be another process's by now.
  const std::uint64_t seen = pid_namespace_of(identity_.host_pid);
  if (identity_.pid_namespace == 0) identity_.pid_namespace = seen;
  if (seen == identity_.pid_namespace) init_ = std::move(init);
  if (!stop_reason_.empty()) kill_command();
  begin_when_ready();
}

void Command::on_control() {
  std::array<char, 8192> message;
  for (;;) {
    const ssize_t got = ::recv(control_.get(), message.data(), message.size(), MSG_DONTWAIT);
    if (got < 0) return;
    if (got == 0) {  // all who held the other end are gone
      loop_.unwatch(control_.get());
      return;
    }
    const std::string_view text(message.data() + 1, static_cast<std::size_t>(got - 1));
    if (message[0] == static_cast<char>(Message::ready)) {
      ready_ = true;
      begin_when_ready();
    } else if (!outcome_) {  // the first counts: after an error comes a plain exit
      const std::size_t space = text.find(' ');
      outcome_ = Outcome{message[0], text::number<int>(text.substr(0, space)).value_or(0),
                         space == text.npos ? "" : std::string(text.substr(space + 1))};
    }
  }
}

void Command::begin_when_ready() {
  if (!ready_ || identity_.host_pid == 0 || told_to_go_ || !stop_reason_.empty()) return;
  if (started_) started_(identity_);
  told_to_go_ = true;
  const char go = static_cast<char>(Message::go);
  [[maybe_unused]] const ssize_t put = ::send(control_.get(), &go, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void Command::stop(std::string_view reason) {
  if (!stop_reason_.empty() || !process_) return;
  stop_reason_ = reason;
  kill_command();
  escalation_ = loop_.after(kForce, [this] { escalate(); });
}

// The first process inside takes all others with it, and bubblewrap ends when it has been reaped.
// Killing bubblewrap instead would also end it all, but we would not know when.
void Command::kill_command() {
  if (init_) {
    send_signal(init_, SIGKILL);
  } else {
    send_signal(process_, request_.sandbox ? SIGKILL : SIGTERM);
  }
}

void Command::escalate() {
  send_signal(process_, SIGKILL);
  launch_.groups.kill_all();
  if (++stop_steps_ == 1) {
    escalation_ = loop_.after(kGiveUp, [this] { escalate(); });
    return;
  }
  log::warning("exec: process {} has not ended {} s after SIGKILL; answering without it", pid_,
               kGiveUp.count() / 1000);
  abandoned_ = true;
  answer();
}

void Command::on_exit() {
  siginfo_t info{};
  const auto id = static_cast<id_t>(process_.get());
  if (::waitid(P_PIDFD, id, &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0) return;
  // Whoever still holds the pipe can write on for ever: what is in it now is the output.
  constexpr int kWholePipe = 64;
  read_output(kWholePipe);
  on_control();
  if (info_pipe_) on_info();
  out_of_memory_ = launch_.groups.ran_out_of_memory();
  close_everything();
  answer();
  remove_groups(kGroupAttempts);
}

void Command::remove_groups(int attempts) {
  launch_.groups.kill_all();
  if (launch_.groups.remove() || attempts == 0) {
    const auto gone = std::exchange(gone_, nullptr);
    gone();  // destroys this object
    return;
  }
  escalation_ = loop_.after(kGroupRetry, [this, attempts] { remove_groups(attempts - 1); });
}

void Command::close_everything() {
  loop_.cancel(std::exchange(timeout_, 0));
  loop_.cancel(std::exchange(escalation_, 0));
  for (UniqueFd* fd : {&process_, &init_, &output_pipe_, &info_pipe_, &control_}) {
    if (*fd) loop_.unwatch(fd->get());
    fd->reset();
  }
}

void Command::answer() { done_.complete(reply()); }

Error Command::why_no_sandbox() const {
  std::string said(text::trim(text::to_utf8(output_)));
  if (said.starts_with("bwrap: ")) said.erase(0, 7);
  if (said.contains("find source path")) {
    return {ENOENT, fmt::format("sandbox: a directory it should show is not there ({})",
                                text::shown(said))};
  }
  return {EPERM, fmt::format("sandbox: bubblewrap could not make one ({}); `agentfs doctor` says "
                             "what this system lacks",
                             said.empty() ? "it said nothing" : said)};
}

Result<ExecReply> Command::reply() const {
  const bool over = outcome_ && (outcome_->kind == static_cast<char>(Message::exited) ||
                                 outcome_->kind == static_cast<char>(Message::signalled));
  if (outcome_ && !over) return std::unexpected(Error{outcome_->number, outcome_->text});
  if (!told_to_go_ && stop_reason_ == "cancel") {
    return fail(EINTR, "command: cancelled before it began");
  }
  if (!told_to_go_ && stop_reason_.empty()) return std::unexpected(why_no_sandbox());
  ExecReply reply;
  reply.output = output_;
  reply.dropped_bytes = dropped_;
  reply.abandoned = abandoned_;
  reply.elapsed_ms = (SystemClock{}.steady() - begun_) / 1'000'000;
  if (over && outcome_->kind == static_cast<char>(Message::exited)) {
    reply.exit_code = outcome_->number;
  } else {
    reply.exit_code = -1;
    reply.signal = signal_name(over ? outcome_->number : SIGKILL);
  }
  if (!over || stop_reason_ == "output") reply.ended_by = stop_reason_;
  if (out_of_memory_ && reply.exit_code != 0 && stop_reason_.empty()) reply.ended_by = "memory";
  return reply;
}

}  // namespace agentfs::exec
