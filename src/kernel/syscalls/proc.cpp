// SPDX-License-Identifier: MIT
// proc.spawn, proc.send and proc.redirect.
#include "kernel/syscalls/proc.h"

#include <algorithm>

#include "base/text.h"
#include "kernel/configuration.h"
#include "kernel/kinds.h"
#include "kernel/paths.h"
#include "kernel/process_json.h"
#include "kernel/syscalls/values.h"

namespace agentfs::proc {
namespace {

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

// Where it works and starts: what is given, else what follows from the other, else the parent's.
Status place(const Kernel& kernel, const Spawn& args, const Process& parent, json::Value& data) {
  std::string workspace = workspace_name(args.workspace.value_or(""));
  std::string cwd;
  if (!workspace.empty()) TRY(check_workspace(kernel, workspace));
  if (args.cwd) {
    cwd = TRY(values::directory(kernel, *args.cwd, parent.cwd));
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
  data.set("workspace", workspace).set("cwd", cwd);
  return ok();
}

// The profile's, but for those that are given. A child has no more than its parent: what is asked
// for beyond is refused, defaults are cut.
Result<Limits> limits_of(const Spawn& args, const ProfileSettings& profile, const Process& parent) {
  const std::string given = args.limits.value_or("");
  const Limits wanted = TRY(parse_limits(given, profile.limits));
  if (parent.is_init) return wanted;
  TRY(check_within(TRY(parse_limits(given)), parent.limits, "limits: a child"));
  return narrowed(wanted, parent.limits);
}

}  // namespace

Result<ProcessId> run(Kernel& kernel, const Caller& caller, const Spawn& args) {
  const ProcessRef parent = TRY(kernel.get_process(caller.process));
  json::Value data;
  if (args.name) TRY(values::check_name(*args.name));
  const std::string profile = args.profile.value_or("default");
  const ProfileSettings settings = TRY(kernel.configuration().profile(profile));
  const std::string model = args.model.value_or(settings.model);
  TRY(kernel.configuration().model(model));
  const Limits limits = TRY(limits_of(args, settings, *parent));
  const int priority = TRY(values::priority(args.priority.value_or(parent->priority)));
  const std::int64_t deadline =
      TRY(values::deadline(args.deadline.value_or(""), kernel.clock().wall()));
  data.set("parent", parent->pid.value).set("name", args.name.value_or(""));
  data.set("user", parent->user).set("uid", parent->uid).set("profile", profile);
  data.set("model", model);
  TRY(place(kernel, args, *parent, data));
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
