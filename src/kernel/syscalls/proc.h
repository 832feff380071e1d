// SPDX-License-Identifier: MIT
// proc.*: processes.
#pragma once

#include "kernel/kernel.h"
#include "kernel/syscalls/row.h"

namespace agentfs::proc {

struct Spawn {
  std::optional<std::string> name{};
  std::optional<std::string> profile{};
  std::optional<std::string> model{};
  std::optional<std::string> workspace{};
  std::optional<std::string> cwd{};
  std::optional<std::string> limits{};  // "tokens=10000,usd=0.5,calls=20,turns=8,wall=10m"
  std::optional<std::int64_t> priority{};
  std::optional<std::string> deadline{};  // duration from now, or an RFC 3339 time
  std::optional<std::string> task{};      // the first message
  using Reply = ProcessId;
  static constexpr SyscallRow row{.name = "proc.spawn",
                                  .doc = "Makes an agent process.",
                                  .effect = Effect::process,
                                  .right = Right::spawn};
  static constexpr auto fields = std::tuple(
      field("name", &Spawn::name, "Its name, of [a-z0-9-]; agent-<pid> if left out."),
      field("profile", &Spawn::profile, "Kind of agent: a directory of /etc/profiles."),
      field("model", &Spawn::model, "Model of /dev/llm that it talks to."),
      field("workspace", &Spawn::workspace, "Directory of /workspaces that it works in."),
      field("cwd", &Spawn::cwd, "Path of the mount it starts in."),
      field(
          "limits", &Spawn::limits,
          "Budget: tokens=N,usd=X,calls=N,turns=N,wall=DURATION over what the profile gives; none: "
          "no limit."),
      field("priority", &Spawn::priority, "From -20 (first) to 19."),
      field("deadline", &Spawn::deadline, "When it is killed: a duration from now, or a time."),
      field("task", &Spawn::task, "Its first message."));
};
Result<ProcessId> run(Kernel&, const Caller&, const Spawn&);

// A message to the agent: starts a run, or is queued behind the one under way.
struct Send {
  ProcessId process{};
  std::string text{};
  using Reply = Nothing;
  static constexpr SyscallRow row{.name = "proc.send",
                                  .doc = "Sends a message to an agent.",
                                  .effect = Effect::process,
                                  .right = Right::control};
  static constexpr auto fields =
      std::tuple(field("process", &Send::process, "The agent's process id."),
                 field("text", &Send::text, "The message."));
};
Status run(Kernel&, const Caller&, const Send&);

// One of: cancel, stop, cont, term, kill, reset, reap.
struct Signal {
  ProcessId process{};
  std::string signal{};
  using Reply = Nothing;
  static constexpr SyscallRow row{.name = "proc.signal",
                                  .doc = "Ends, stops, continues, resets or reaps a process.",
                                  .effect = Effect::process,
                                  .right = Right::control};
  static constexpr auto fields = std::tuple(
      field("process", &Signal::process, "The process id."),
      field("signal", &Signal::signal, "cancel, stop, cont, term, kill, reset or reap."));
};
Status run(Kernel&, const Caller&, const Signal&);

// Cancels the turn under way and steers: the text is what the agent reads next.
struct Redirect {
  ProcessId process{};
  std::string text{};
  using Reply = Nothing;
  static constexpr SyscallRow row{
      .name = "proc.redirect",
      .doc = "Cancels the turn under way and queues new words behind what waits already.",
      .effect = Effect::process,
      .right = Right::control};
  static constexpr auto fields =
      std::tuple(field("process", &Redirect::process, "The agent's process id."),
                 field("text", &Redirect::text, "What it is to do instead."));
};
Status run(Kernel&, const Caller&, const Redirect&);

// Settings of a process: name, profile, model, priority, deadline, cwd, limits.
struct Set {
  ProcessId process{};
  std::string key{};
  std::string value{};
  using Reply = Nothing;
  static constexpr SyscallRow row{.name = "proc.set",
                                  .doc = "Changes a setting of a process.",
                                  .effect = Effect::process,
                                  .right = Right::control};
  static constexpr auto fields = std::tuple(
      field("process", &Set::process, "The process id."),
      field("key", &Set::key, "name, profile, model, priority, deadline, cwd or limits."),
      field("value", &Set::value, "The new value."));
};
Status run(Kernel&, const Caller&, const Set&);

// A text of the process's own context, /proc/<pid>/context.d/NAME; an empty text removes it, unless
// it is to be kept.
struct SetContext {
  ProcessId process{};
  std::string name{};
  std::string text{};
  std::optional<bool> keep{};
  using Reply = Nothing;
  static constexpr SyscallRow row{.name = "proc.set-context",
                                  .doc = "Sets a text of a process's own context.",
                                  .effect = Effect::process,
                                  .right = Right::control};
  static constexpr auto fields =
      std::tuple(field("process", &SetContext::process, "The process id."),
                 field("name", &SetContext::name, "File name, ending in .md."),
                 field("text", &SetContext::text, "The text; empty removes it."),
                 field("keep", &SetContext::keep, "Whether an empty text is kept, too."));
};
Status run(Kernel&, const Caller&, const SetContext&);

}  // namespace agentfs::proc
