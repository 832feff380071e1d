// SPDX-License-Identifier: MIT
// Who is who: host processes, persons, agents and their sandboxes.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "base/file.h"
#include "base/log.h"
#include "base/temporary_name.h"
#include "base/text.h"
#include "base/users.h"
#include "kernel/kernel_state.h"
#include "kernel/no_namespace.h"
#include "kernel/paths.h"

namespace agentfs {
namespace {

// Names are made of [a-z0-9-], so that they need no quoting in a path.
std::string as_name(std::string_view raw) {
  std::string name;
  for (const char c : raw) {
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      name += c;
    } else if (c >= 'A' && c <= 'Z') {
      name += static_cast<char>(c - 'A' + 'a');
    } else if (!name.empty() && name.back() != '-') {
      name += '-';
    }
  }
  while (name.ends_with('-')) name.pop_back();
  return name;
}

std::string find_user_name(uid_t uid) {
  if (uid == 0) return "root";
  if (const auto user = find_user(uid)) {
    const std::string name = as_name(user->name);
    if (!name.empty() && name != "root") return name;
  }
  return fmt::format("user{}", uid);
}

constexpr gid_t kNobodysGroup = 65'534;

// The group, where it is not known, and the supplementary ones, as a login gives them.
void fill_groups(ExecUser& user) {
  const auto known = find_user(user.uid);
  if (user.gid == kNoGroup) user.gid = known ? known->gid : kNobodysGroup;
  if (known) user.groups = login_groups(*known, user.gid);
}

// It comes to its name as its user's, from a place on the disk of the homes, which may be one of
// their own. What a kill leaves of it the next start removes.
Status put_home(const std::string& staged, const std::string& home, uid_t uid, gid_t gid) {
  TRY(file::make_directories(staged, 0700));
  const std::string made = fmt::format("{}/{}", staged, temporary_name());
  if (::mkdir(made.c_str(), 0700) != 0) return fail_errno(home);
  const bool is_given = ::geteuid() != 0 || ::chown(made.c_str(), uid, gid) == 0;
  const bool is_put = is_given && ::renameat2(AT_FDCWD, made.c_str(), AT_FDCWD, home.c_str(),
                                              RENAME_NOREPLACE) == 0;
  const int code = is_put ? 0 : errno;
  if (!is_put) (void)::rmdir(made.c_str());
  return is_put || code == EEXIST ? ok() : fail_errno(code, home);
}

}  // namespace

Namespace& Kernel::paths() const {
  Namespace* paths = state_->paths.load();
  return paths != nullptr ? *paths : no_namespace();
}

std::string Kernel::user_name(uid_t uid) const {
  {
    Lock lock(state_->mutex);
    const auto found = state_->user_names.find(uid);
    if (found != state_->user_names.end()) return found->second;
  }
  std::string name = find_user_name(uid);  // may read files: not under the lock
  Lock lock(state_->mutex);
  return state_->user_names.emplace(uid, std::move(name)).first->second;
}

const CommandIdentity* Kernel::State::command_of(const HostCaller& host) const {
  const auto sandbox = sandboxes.find(host.pid_namespace);
  if (sandbox != sandboxes.end()) return &sandbox->second;
  const auto command = unconfined.find(host.child);
  return command != unconfined.end() ? &command->second : nullptr;
}

Caller Kernel::identify(const HostCaller& host) {
  Caller caller{.kernel = this, .process = {}, .host = host, .path = {}, .via = {}};
  Lock lock(state_->mutex);
  if (const CommandIdentity* const command = state_->command_of(host)) {
    caller.process = command->process;
    caller.via = command->via;
  } else {
    caller.process = state_->fold.init_of(host.uid);
  }
  return caller;
}

Result<Caller> Kernel::ensure_caller(const HostCaller& host) {
  Caller caller = identify(host);
  if (caller.process) {
    state_->ensure_home(caller);
    return caller;
  }
  const std::string user = user_name(host.uid);
  json::Value data;
  data.set("parent", 0).set("name", fmt::format("init-{}", host.uid)).set("user", user);
  data.set("uid", host.uid).set("gid", host.gid).set("init", true).set("cwd", "/home/" + user);
  const auto made = commit(caller, std::string(kind::kProcessSpawn), std::move(data));
  if (!made && made.error().code != EEXIST) return std::unexpected(made.error());
  caller = identify(host);
  state_->ensure_home(caller);
  return caller;
}

// Once for each user: a kill or a full disk may have kept it from being made when the user came
// for the first time.
void Kernel::State::ensure_home(const Caller& caller) {
  if (!caller.via.empty()) return;  // of a command, whose author came before
  {
    const Lock lock(mutex);
    if (!with_home.insert(caller.host.uid).second) return;
  }
  if (const Status home = kernel.make_home(caller.host.uid, caller.host.gid); !home) {
    log::warning("{}", home.error().message);
  }
}

// Whoever asked may hold what is told here until it is answered.
void Kernel::tell_home(const std::string& user) {
  if (state_->paths == nullptr) return;  // the mount begins with it
  state_->post([home = "/home/" + user](State& state) {
    Namespace* const paths = state.paths.load();
    if (paths == nullptr) return;
    paths->recount(home, true);
    paths->refresh({{TreeEvent::Kind::made, home, S_IFDIR}});
  });
}

Status Kernel::make_home(uid_t uid, gid_t gid) {
  const std::string trees = parts().state + "/trees";
  const std::string home = fmt::format("{}/home/{}", trees, user_name(uid));
  if (struct stat there{}; ::lstat(home.c_str(), &there) == 0) {
    if (there.st_uid == uid || ::geteuid() != 0) return ok();
    return fail(EEXIST, "/home/{}: belongs to uid {}; another name of that one's would make room",
                user_name(uid), there.st_uid);
  }
  TRY(file::make_directories(trees + "/home"));
  TRY(put_home(trees + "/.home/staged", home, uid, gid));
  tell_home(user_name(uid));
  return ok();
}

// A caller can ask for changes, so it has the kernel as it is.
Caller Kernel::agent(ProcessId pid, std::string via) const {
  Caller caller{.kernel = const_cast<Kernel*>(this),
                .process = pid,
                .host = {},
                .path = {},
                .via = std::move(via)};
  if (const ProcessRef process = find_process(pid)) {
    ExecUser user = state_->user_of(*process);
    caller.host.uid = user.uid;
    caller.host.gid = user.gid;
    caller.host.groups = std::move(user.groups);
  }
  return caller;
}

ExecUser Kernel::exec_user(const Caller& caller) const {
  const ProcessRef process = find_process(caller.process);
  if (process != nullptr && !process->is_init) return state_->user_of(*process);
  // Not those of the user database: a person may have given some up.
  const HostCaller& host = caller.host;
  return {host.uid, host.gid, host.pid != 0 ? groups_of_process(host.pid) : host.groups};
}

uid_t Kernel::user_of(const Caller& caller) const {
  const ProcessRef process = find_process(caller.process);
  return process != nullptr ? process->uid : caller.host.uid;
}

bool Kernel::is_ruler(uid_t uid) const { return uid == 0 || uid == parts().owner; }

// An ordinary user's daemon does everything with its own rights.
ExecUser Kernel::State::user_of(const Process& process) const {
  ExecUser user{process.uid, process.gid, {}};
  if (::geteuid() != 0 || process.uid == 0) {
    if (user.gid == kNoGroup) user.gid = ::getegid();
    return user;
  }
  {
    Lock lock(mutex);
    const auto known = users.find({process.uid, process.gid});
    if (known != users.end()) return known->second;
  }
  fill_groups(user);  // may read files: not under the lock
  Lock lock(mutex);
  return users.emplace(std::pair(process.uid, process.gid), std::move(user)).first->second;
}

Status Kernel::may_change(const Caller& caller, const std::string& path) const {
  const ProcessRef agent = find_process(caller.process);
  if (agent == nullptr || agent->is_init || !paths::is_data(path)) return ok();
  const std::string home = fmt::format("/home/{}", agent->user);
  const std::string workspace = fmt::format("/workspaces/{}", agent->workspace);
  const bool works = !agent->workspace.empty();
  if (text::is_in(path, "/tmp") || text::is_in(path, home)) return ok();
  if (works && text::is_in(path, workspace)) return ok();
  return fail(EPERM, "{}: not this agent's to change; {}{}{} and /tmp are", path,
              works ? workspace : "", works ? ", " : "", home);
}

Author Kernel::author(const Caller& caller) const {
  Author author;
  author.host_pid = caller.host.pid;
  author.command = caller.host.command;
  author.path = caller.path;
  author.via = caller.via;
  Lock lock(state_->mutex);
  ProcessRef process = state_->fold.find(caller.process);
  for (; process != nullptr; process = state_->fold.find(process->parent)) {
    author.lineage.push_back(process->pid);
    author.user = process->user;
  }
  return author;
}

void Kernel::add_command(const CommandIdentity& identity) {
  Lock lock(state_->mutex);
  if (identity.pid_namespace != 0) state_->sandboxes[identity.pid_namespace] = identity;
  if (identity.supervisor != 0) state_->unconfined[identity.supervisor] = identity;
  state_->count_commands();
}

void Kernel::remove_command(const CommandIdentity& identity) {
  Lock lock(state_->mutex);
  state_->sandboxes.erase(identity.pid_namespace);
  state_->unconfined.erase(identity.supervisor);
  state_->count_commands();
}

void Kernel::State::count_commands() {
  runs_unconfined = !unconfined.empty();
  stale_writes.count_commands(sandboxes.size() + unconfined.size());
}

bool Kernel::runs_unconfined() const { return state_->runs_unconfined; }

Status Kernel::may_control(const Caller& caller, const Process& process) const {
  const ProcessRef actor = find_process(caller.process);
  const std::string who =
      caller.process ? fmt::format("process {}", caller.process.value) : user_name(caller.host.uid);
  if (actor == nullptr || actor->is_init) {
    const uid_t uid = actor != nullptr ? actor->uid : caller.host.uid;
    if (uid == 0 || uid == process.uid) return ok();
    return fail(EPERM, "process {}: belongs to {}, not to {}; its owner or root may do this",
                process.pid.value, process.user, who);
  }
  ProcessRef ancestor = find_process(process.pid);
  for (; ancestor != nullptr; ancestor = find_process(ancestor->parent)) {
    if (ancestor->pid == actor->pid) return ok();
  }
  return fail(EPERM,
              "process {}: is no descendant of {}; an agent controls itself and what it "
              "has spawned",
              process.pid.value, who);
}

}  // namespace agentfs
