// SPDX-License-Identifier: MIT
#include "fs/fuse/host_caller.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <optional>

#include "base/file.h"
#include "base/text.h"

namespace agentfs::fuse {
namespace {

struct Stat {  // of /proc/<pid>/stat, proc(5)
  std::string command;
  pid_t session = 0;
  std::uint64_t started = 0;
};

std::optional<Stat> read_stat(pid_t pid) {
  const UniqueFd fd(::open(fmt::format("/proc/{}/stat", pid).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return std::nullopt;
  std::array<char, 1024> buffer{};
  const ssize_t size = ::read(fd.get(), buffer.data(), buffer.size());
  if (size <= 0) return std::nullopt;
  const std::string_view text(buffer.data(), static_cast<std::size_t>(size));
  // The command may hold anything, so it ends at the last parenthesis.
  const auto open = text.find('(');
  const auto close = text.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos) return std::nullopt;
  const auto fields = text::words(text.substr(close + 1));
  constexpr std::size_t kSession = 3;
  constexpr std::size_t kStarted = 19;
  if (fields.size() <= kStarted) return std::nullopt;
  return Stat{text::to_utf8(text.substr(open + 1, close - open - 1)),
              text::number<pid_t>(fields[kSession]).value_or(0),
              text::number<std::uint64_t>(fields[kStarted]).value_or(0)};
}

pid_t thread_group(pid_t thread) {
  const auto status = file::read(fmt::format("/proc/{}/status", thread));
  if (!status) return thread;
  for (const auto line : text::lines(*status)) {
    if (line.starts_with("Tgid:")) {
      return text::number<pid_t>(text::trim(line.substr(5))).value_or(thread);
    }
  }
  return thread;
}

std::uint64_t pid_namespace(pid_t thread) {
  struct stat found{};
  const std::string path = fmt::format("/proc/{}/ns/pid", thread);
  return ::stat(path.c_str(), &found) == 0 ? found.st_ino : 0;
}

}  // namespace

// A number names one session for as long as that lasts, which may be longer than its leader, and
// then another: so the start time of the leader.
std::string CallerResolver::session_key(pid_t session, pid_t group) {
  if (session == 0) return fmt::format("0.{}", group);
  const auto leader = read_stat(session);
  Lock lock(mutex_);
  if (leader && leaders_.size() >= kLimit) leaders_.clear();
  if (leader) leaders_[session] = leader->started;
  const auto found = leaders_.find(session);
  return fmt::format("{}.{}", session, found != leaders_.end() ? found->second : 0);
}

HostCaller CallerResolver::resolve(pid_t thread, uid_t uid, gid_t gid) {
  HostCaller caller;
  caller.uid = uid;
  caller.gid = gid;
  const auto stat = thread > 0 ? read_stat(thread) : std::nullopt;
  if (!stat) {
    caller.session = fmt::format("uid.{}", uid);
    return caller;
  }
  caller.command = stat->command;
  const auto fill = [&](const Known& known) {
    caller.pid = known.group;
    caller.session = known.session;
    caller.pid_namespace = known.pid_namespace;
  };
  {
    Lock lock(mutex_);
    const auto found = known_.find(thread);
    if (found != known_.end() && found->second.started == stat->started &&
        found->second.session_id == stat->session) {
      fill(found->second);
      return caller;
    }
  }
  Known fresh;
  fresh.started = stat->started;
  fresh.session_id = stat->session;
  fresh.group = thread_group(thread);
  fresh.session = session_key(stat->session, fresh.group);
  fresh.pid_namespace = pid_namespace(thread);
  fill(fresh);
  Lock lock(mutex_);
  if (known_.size() >= kLimit) known_.clear();
  known_[thread] = std::move(fresh);
  return caller;
}

}  // namespace agentfs::fuse
