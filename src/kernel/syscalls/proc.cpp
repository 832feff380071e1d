// SPDX-License-Identifier: MIT
// proc.spawn, proc.send and proc.redirect.
#include "kernel/syscalls/proc.h"

#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "kernel/configuration.h"
#include "kernel/kinds.h"
#include "kernel/paths.h"
#include "kernel/process_json.h"
#include "kernel/syscalls/values.h"

namespace agentfs::proc {
namespace {

const std::string kStandardProfile = "default";

// The process and the agents above it, up to the one that a person made.
std::vector<ProcessId> agents_above(const Kernel& kernel, const Process& process) {
  std::vector<ProcessId> line{process.pid};
  ProcessRef parent = kernel.find_process(process.parent);
  for (; parent != nullptr && !parent->is_init; parent = kernel.find_process(parent->parent)) {
    line.push_back(parent->pid);
  }
  return line;
}

Status check_workspace(const Kernel& kernel, const std::string& name) {
  const std::vector<std::string> names = kernel.workspaces();
  if (std::ranges::find(names, name) != names.end()) return ok();
  return fail(ENOENT, "workspace {}: no such directory of /workspaces{}; mkdir makes one",
              text::shown(name), text::did_you_mean(name, names));
}

// "site", also where it was given as the path /workspaces/site.
std::string workspace_name(const std::string& given) {
  if (!given.starts_with('/')) return given;
  const std::string path = paths::normalise(given, "/");
  const std::string name = paths::workspace_of(path).value_or("");
  return path == "/workspaces/" + name ? name : given;
}

// Its commands see the workspace, its home and /tmp, so it starts in one of them.
Status check_start(const std::string& workspace, const std::string& cwd, const Process& parent) {
  Process seeing;
  seeing.user = parent.user;
  seeing.workspace = workspace;
  if (values::is_seen_by(seeing, cwd)) return ok();
  return fail(EINVAL,
              "cwd: {} is not in the workspace {}; a directory below /workspaces/{}, "
              "/home/{} or /tmp would do",
              cwd, workspace, workspace, parent.user);
}

// An agent changes its own workspace, and so do those that it makes. Whose user may not write there
// would only find out with its first command.
Status check_use(const Kernel& kernel, const Caller& caller, const std::string& workspace,
                 const Process& parent) {
  if (!parent.is_init && workspace != parent.workspace) {
    return fail(EPERM,
                "workspace {}: is not that of process {} ({}); a child of an agent works in its "
                "parent's workspace, or in none",
                workspace, parent.pid.value, parent.workspace.empty() ? "none" : parent.workspace);
  }
  const ExecUser user = kernel.exec_user(caller);
  Caller who = caller;
  who.host.uid = user.uid;
  who.host.gid = user.gid;
  who.host.groups = user.groups;
  const Status allowed =
      kernel.paths().access(who, fmt::format("/workspaces/{}", workspace), W_OK | X_OK);
  if (allowed || allowed.error().code != EACCES) return allowed;
  return fail(EACCES,
              "workspace {}: {} has no right to write there; one of their own, or chmod by its "
              "owner, would do",
              workspace, parent.user);
}

// Agents that make agents are bounded: in generations, and in number below one a person made.
Status check_family(const Kernel& kernel, const Process& parent) {
  if (parent.is_init) return ok();
  const KernelSettings settings = kernel.configuration().kernel();
  const std::vector<ProcessId> line = agents_above(kernel, parent);
  if (static_cast<std::int64_t>(line.size()) > settings.spawn_depth) {
    return fail(EDQUOT,
                "process {}: is the last of {} generations of agents (spawn_depth in "
                "/etc/agentfs.toml); it can do the work itself",
                parent.pid.value, settings.spawn_depth);
  }
  std::int64_t alive = 0;
  for (const ProcessId pid : kernel.processes()) {
    const ProcessRef process = kernel.find_process(pid);
    if (!process || process->is_init || process->state == RunState::dead) continue;
    if (pid != line.back() && agents_above(kernel, *process).back() == line.back()) ++alive;
  }
  if (alive < settings.spawn_descendants) return ok();
  return fail(EDQUOT,
              "process {}: {} agents below it are alive (spawn_descendants in /etc/agentfs.toml); "
              "killing one makes room",
              line.back().value, alive);
}

// Where it works and starts: what is given, else what follows from the other, else the parent's.
Result<json::Value> place(const Kernel& kernel, const Caller& caller, const Spawn& args,
                          const Process& parent) {
  std::string workspace = workspace_name(args.workspace.value_or(""));
  std::string cwd;
  if (!workspace.empty()) TRY(check_workspace(kernel, workspace));
  if (args.cwd) {
    cwd = TRY(values::directory(kernel, caller, *args.cwd, parent.cwd));
    if (!args.workspace) workspace = paths::workspace_of(cwd).value_or("");
    if (args.workspace && !workspace.empty()) TRY(check_start(workspace, cwd, parent));
  } else if (!workspace.empty()) {
    cwd = "/workspaces/" + workspace;
  } else if (!parent.is_init && !args.workspace) {
    workspace = parent.workspace;
    cwd = parent.cwd;
  } else {
    cwd = "/home/" + parent.user;
  }
  json::Value both;
  json::set_bytes(both, "workspace", workspace);
  json::set_bytes(both, "cwd", cwd);
  return both;
}

// The profile's, but for those that are given. A child has no more than is left of its parent's:
// what is asked for beyond is refused, defaults are cut.
Result<Limits> limits_of(const Spawn& args, const ProfileSettings& profile, const Process& parent) {
  const std::string given = args.limits.value_or("");
  const Limits wanted = TRY(parse_limits(given, profile.limits));
  if (parent.is_init) return wanted;
  const Limits most = left(parent.limits, parent.subtree);
  if (args.limits) TRY(check_within(TRY(parse_limits(given)), most, "limits: a child"));
  return narrowed(wanted, most);
}

}  // namespace

Result<ProcessId> run(Kernel& kernel, const Caller& caller, const Spawn& args) {
  const ProcessRef parent = TRY(kernel.get_process(caller.process));
  TRY(check_family(kernel, *parent));
  json::Value data = TRY(place(kernel, caller, args, *parent));
  if (const std::string workspace = json::bytes_of(data, "workspace"); !workspace.empty()) {
    TRY(check_use(kernel, caller, workspace, *parent));
  }
  if (args.name) TRY(values::check_name(*args.name));
  const ProcessRef agent = values::acting_agent(kernel, caller);
  const bool is_limited =
      agent != nullptr && !values::profile(kernel, agent.get(), kStandardProfile);
  const std::string profile = args.profile.value_or(is_limited ? agent->profile : kStandardProfile);
  const ProfileSettings settings = TRY(values::profile(kernel, agent.get(), profile));
  const std::string model = args.model.value_or(settings.model);
  TRY(kernel.configuration().model(model));
  const Limits limits = TRY(limits_of(args, settings, *parent));
  const int priority = TRY(values::priority(args.priority.value_or(parent->priority), agent.get()));
  std::int64_t deadline = agent == nullptr ? 0 : agent->deadline;
  if (args.deadline) {
    deadline = TRY(values::deadline(*args.deadline, kernel.clock().wall(), agent.get()));
  }
  data.set("parent", parent->pid.value).set("name", args.name.value_or(""));
  data.set("user", parent->user).set("uid", parent->uid).set("gid", parent->gid);
  data.set("profile", profile).set("model", model);
  data.set("priority", priority).set("deadline", deadline).set("limits", to_json(limits));
  if (args.task) {
    TRY(values::check_message(*args.task));
    data.set("task", *args.task).set("from", values::sender(kernel, caller));
  }
  const Record record =
      TRY(kernel.commit(caller, std::string(kind::kProcessSpawn), std::move(data)));
  return ProcessId{static_cast<std::uint64_t>(record.data["pid"].number())};
}

namespace {

// A message and what it does: both kinds have the same data.
Status say(Kernel& kernel, const Caller& caller, std::string_view kind, const Send& message) {
  json::Value data;
  data.set("pid", message.process.value).set("text", message.text);
  data.set("from", values::sender(kernel, caller));
  TRY(kernel.commit(caller, std::string(kind), std::move(data)));
  return ok();
}

}  // namespace

Status run(Kernel& kernel, const Caller& caller, const Send& args) {
  TRY(values::check_message(args.text));
  const ProcessRef agent = values::acting_agent(kernel, caller);
  const ProcessRef target = kernel.find_process(args.process);
  // Agents of one owner may talk to each other; people to their own.
  const bool is_fellow = agent != nullptr && target != nullptr && agent->uid == target->uid;
  if (target != nullptr && !is_fellow) TRY(kernel.may_control(caller, *target));
  return say(kernel, caller, kind::kMessageQueue, args);
}

Status run(Kernel& kernel, const Caller& caller, const Redirect& args) {
  TRY(values::check_message(args.text));
  if (const ProcessRef target = kernel.find_process(args.process)) {
    TRY(kernel.may_control(caller, *target));
  }
  return say(kernel, caller, kind::kRunRedirect, {.process = args.process, .text = args.text});
}

}  // namespace agentfs::proc
