// SPDX-License-Identifier: MIT
#include "fs/fuse/host_caller.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/file.h"
#include "base/proc_status.h"
#include "base/text.h"

namespace agentfs::fuse {
namespace {

constexpr std::size_t kLongestName = 64;  // of a thread; 16 bytes as of Linux 6.18

UniqueFd open_in_proc(pid_t thread, std::string_view file) {
  return UniqueFd(::open(fmt::format("/proc/{}/{}", thread, file).c_str(), O_RDONLY | O_CLOEXEC));
}

// Nothing once the thread has gone, whoever has its number now.
std::optional<std::string> read_name(const UniqueFd& fd) {
  std::array<char, kLongestName> buffer;
  const ssize_t size = fd ? ::pread(fd.get(), buffer.data(), buffer.size(), 0) : -1;
  if (size <= 0) return std::nullopt;
  std::string_view name(buffer.data(), static_cast<std::size_t>(size));
  if (name.ends_with('\n')) name.remove_suffix(1);
  return text::to_utf8(name);
}

// 0: its leader is in no namespace that we see, or has gone with all of it.
pid_t session_of(pid_t thread) { return std::max(::getsid(thread), 0); }

// A number behind the command in /proc/<pid>/stat, proc(5).
std::optional<std::uint64_t> stat_field(pid_t pid, std::size_t index) {
  const auto stat = file::read(fmt::format("/proc/{}/stat", pid));
  if (!stat) return std::nullopt;
  // The command may hold anything, so it ends at the last parenthesis.
  const auto close = stat->rfind(')');
  if (close == std::string::npos) return std::nullopt;
  const auto fields = text::words(std::string_view(*stat).substr(close + 1));
  if (fields.size() <= index) return std::nullopt;
  return text::number<std::uint64_t>(fields[index]);
}

// When a process was started, in the units of that file.
std::optional<std::uint64_t> start_of(pid_t pid) { return stat_field(pid, 19); }

// Whom of the daemon's children a process is or comes from; 0: none. One on the way that ends just
// now leaves its children to another, whom they name then.
pid_t child_above(pid_t process) {
  constexpr int kMostSteps = 4096;
  pid_t at = process;
  for (int step = 0; step < kMostSteps && at > 0; ++step) {
    const auto parent = stat_field(at, 1);
    if (!parent && at == process) return 0;
    const auto above = parent ? static_cast<pid_t>(*parent) : process;
    if (above == ::getpid()) return at;
    at = above;
  }
  return 0;
}

pid_t thread_group(pid_t thread) {
  const auto status = file::read(fmt::format("/proc/{}/status", thread));
  return status ? text::number<pid_t>(status_field(*status, "Tgid")).value_or(thread) : thread;
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
  const auto leader = start_of(session);
  Lock lock(mutex_);
  if (leader && leaders_.size() >= kLeaders) leaders_.clear();
  if (leader) leaders_[session] = *leader;
  const auto found = leaders_.find(session);
  return fmt::format("{}.{}", session, found != leaders_.end() ? found->second : 0);
}

HostCaller CallerResolver::resolve(pid_t thread, uid_t uid, gid_t gid, bool with_child) {
  HostCaller caller;
  caller.uid = uid;
  caller.gid = gid;
  std::shared_ptr<const Known> known = find(thread);
  auto command = known != nullptr ? read_name(*known->name) : std::nullopt;
  if (!command || session_of(thread) != known->session_id) {
    auto name =
        std::make_shared<const UniqueFd>(thread > 0 ? open_in_proc(thread, "comm") : UniqueFd());
    command = read_name(*name);
    if (!command) {
      caller.session = fmt::format("uid.{}", uid);
      return caller;
    }
    known = look_up(thread, std::move(name));
  }
  if (with_child && !known->child) {
    auto fresh = std::make_shared<Known>(*known);
    fresh->child = child_above(known->group);
    known = keep(thread, std::move(fresh));
  }
  caller.child = known->child.value_or(0);
  caller.command = *std::move(command);
  caller.pid = known->group;
  caller.session = known->session;
  caller.pid_namespace = known->pid_namespace;
  return caller;
}

pid_t CallerResolver::group_of(pid_t thread) {
  const auto known = find(thread);
  return known != nullptr ? known->group : resolve(thread, 0, 0).pid;
}

std::shared_ptr<const CallerResolver::Known> CallerResolver::find(pid_t thread) {
  Lock lock(mutex_);
  const auto found = known_.find(thread);
  return found != known_.end() ? found->second : nullptr;
}

std::shared_ptr<const CallerResolver::Known> CallerResolver::look_up(
    pid_t thread, std::shared_ptr<const UniqueFd> name) {
  auto fresh = std::make_shared<Known>();
  fresh->name = std::move(name);
  fresh->session_id = session_of(thread);
  fresh->group = thread_group(thread);
  fresh->session = session_key(fresh->session_id, fresh->group);
  fresh->pid_namespace = pid_namespace(thread);
  return keep(thread, std::move(fresh));
}

std::shared_ptr<const CallerResolver::Known> CallerResolver::keep(
    pid_t thread, std::shared_ptr<const Known> fresh) {
  decltype(known_) dropped;  // its descriptors are closed after the lock
  Lock lock(mutex_);
  if (known_.size() >= kLimit) dropped.swap(known_);
  known_[thread] = fresh;
  return fresh;
}

}  // namespace agentfs::fuse
