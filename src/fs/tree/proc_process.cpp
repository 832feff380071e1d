// SPDX-License-Identifier: MIT
// /proc/<pid>: one process.
#include "fs/tree/render.h"
#include "fs/tree/tables.h"
#include "kernel/chat.h"
#include "kernel/error_log.h"
#include "kernel/limits.h"
#include "kernel/streams.h"
#include "kernel/syscalls/gate.h"
#include "kernel/syscalls/proc.h"

namespace agentfs::tree {
namespace {

using vfs::files;
using vfs::line;
using vfs::verb;
using vfs::verbs;

// --- verbs

Status signal(const Process& process, const Caller& caller, std::string_view which) {
  return caller.call(proc::Signal{process.pid, std::string(which)});
}
Status cancel(const Process& p, const Caller& c) { return signal(p, c, "cancel"); }
Status cont(const Process& p, const Caller& c) { return signal(p, c, "cont"); }
Status kill(const Process& p, const Caller& c) { return signal(p, c, "kill"); }
Status reap(const Process& p, const Caller& c) { return signal(p, c, "reap"); }
Status reset(const Process& p, const Caller& c) { return signal(p, c, "reset"); }
Status stop(const Process& p, const Caller& c) { return signal(p, c, "stop"); }
Status term(const Process& p, const Caller& c) { return signal(p, c, "term"); }

Status set(const Process& process, const Caller& caller, std::string_view key,
           std::string_view value) {
  return caller.call(proc::Set{process.pid, std::string(key), std::string(text::trim(value))});
}
Status deadline(const Process& p, const Caller& c, std::string when) {
  return set(p, c, "deadline", when);
}
Status nice(const Process& p, const Caller& c, fcp::Ranged<-20, 19> n) {
  return set(p, c, "priority", fmt::format("{}", n.value));
}
Status redirect(const Process& process, const Caller& caller, fcp::Rest words) {
  return caller.call(proc::Redirect{process.pid, std::move(words.text)});
}
Status send(const Process& process, const Caller& caller, fcp::Rest words) {
  return caller.call(proc::Send{process.pid, std::move(words.text)});
}

constexpr auto kVerbs = verbs<Process>({
    verb<cancel>("cancel", "cancel", "Ends the run under way; the process stays."),
    verb<cont>("cont", "cont", "Goes on after a stop."),
    verb<deadline>("deadline", "deadline WHEN",
                   "Kills the process at a time, or a duration from now; none takes it back."),
    verb<kill>("kill", "kill", "Ends the process and its children at once."),
    verb<nice>("nice", "nice N", "Sets the priority, -20 (first) to 19."),
    verb<reap>("reap", "reap", "Removes a dead process; its number is never used again."),
    verb<redirect>("redirect", "redirect TEXT",
                   "Cancels the turn under way and queues new words behind what waits already."),
    verb<reset>("reset", "reset", "Forgets the conversation of an idle process."),
    verb<send>("send", "send TEXT", "Sends a message, as writing to chat does."),
    verb<stop>("stop", "stop", "Holds the process after the step under way."),
    verb<term>("term", "term", "Ends the process after the turn under way."),
});

// --- values

Result<std::string> show_object(const Process& p, const Caller&) {
  return json::dump_pretty(describe(p));
}
Result<std::string> show_chat(const Process& p, const Caller&) { return render_chat(p); }
Result<std::string> show_context(const Process& p, const Caller& c) {
  return c.kernel->userland().context(p);
}
Result<std::string> show_context_why(const Process& p, const Caller& c) {
  return c.kernel->userland().context_why(p);
}
Result<std::string> show_cwd(const Process& p, const Caller&) { return line(p.cwd); }
Result<std::string> show_deadline(const Process& p, const Caller&) {
  return line(when(p.deadline));
}
Result<std::string> show_digest(const Process& p, const Caller&) {
  return fmt::format(
      "{} (pid {}) of {}: {}\nworkspace {}, cwd {}\nmodel {}, {} tokens, {} USD\n"
      "{} messages, {} queued, {} tool calls\nrun {}: {}\nlast: {}\n",
      p.name, p.pid.value, p.user, name(p.state), p.workspace.empty() ? "-" : p.workspace, p.cwd,
      p.model, p.usage.tokens(), dollars(p.usage.micro_usd), p.messages.size(), p.queued.size(),
      p.calls.size(), p.run.number, p.run.ended == 0 ? "under way or none" : p.run.outcome,
      text::shown(text::lines(p.run.text).empty() ? "" : text::lines(p.run.text)[0]));
}
Result<std::string> show_errors(const Process& p, const Caller& c) {
  return c.kernel->errors().text(p.pid);
}
Result<std::string> show_events(const Process& p, const Caller& c) {
  return c.kernel->events(p.pid);
}
Result<std::string> show_heartbeat(const Process& p, const Caller&) {
  return line(when(p.heartbeat));
}
Result<std::string> show_limits(const Process& p, const Caller&) {
  return line(agentfs::show(p.limits));
}
Result<std::string> show_model(const Process& p, const Caller&) { return line(p.model); }
Result<std::string> show_name(const Process& p, const Caller&) { return line(p.name); }
Result<std::string> show_owner(const Process& p, const Caller&) { return line(p.user); }
Result<std::string> show_parent(const Process& p, const Caller&) { return line(p.parent.value); }
Result<std::string> show_priority(const Process& p, const Caller&) { return line(p.priority); }
Result<std::string> show_profile(const Process& p, const Caller&) { return line(p.profile); }
Result<std::string> show_started(const Process& p, const Caller&) { return line(when(p.started)); }
Result<std::string> show_state(const Process& p, const Caller&) { return line(name(p.state)); }
Result<std::string> show_status(const Process& p, const Caller&) { return render_status(p); }
Result<std::string> show_usage(const Process& p, const Caller&) { return render_usage(p); }
Result<std::string> show_workspace(const Process& p, const Caller&) { return line(p.workspace); }

// --- settings and messages

Status set_cwd(const Process& p, const Caller& c, std::string_view v) {
  return set(p, c, "cwd", v);
}
Status set_deadline(const Process& p, const Caller& c, std::string_view v) {
  return set(p, c, "deadline", v);
}
Status set_limits(const Process& p, const Caller& c, std::string_view v) {
  return set(p, c, "limits", v);
}
Status set_model(const Process& p, const Caller& c, std::string_view v) {
  return set(p, c, "model", v);
}
Status set_name(const Process& p, const Caller& c, std::string_view v) {
  return set(p, c, "name", v);
}
Status set_priority(const Process& p, const Caller& c, std::string_view v) {
  return set(p, c, "priority", v);
}
Status set_profile(const Process& p, const Caller& c, std::string_view v) {
  return set(p, c, "profile", v);
}
Status say(const Process& process, const Caller& caller, std::string_view words) {
  return caller.call(proc::Send{process.pid, std::string(text::trim(words))});
}

// --- what blocks

void await_answer(const Process& process, const Caller& caller, Completion<std::string> done) {
  Completion<std::string> ended([done](Result<std::string> answer) {
    if (answer && !answer->empty() && !answer->ends_with('\n')) *answer += '\n';
    done.complete(std::move(answer));
  });
  done.on_cancel([ended] { ended.cancel(); });
  caller.kernel->await_run_end(process.pid, std::move(ended));
}

Result<vfs::Unsubscribe> follow_stream(const Process& process, const Caller& caller,
                                       vfs::Sink sink) {
  Streams& streams = caller.kernel->streams();
  const auto subscription = streams.subscribe(process.pid, sink);
  // Looked at once nothing is missed: it may have ended since it was found.
  const ProcessRef now = caller.kernel->find_process(process.pid);
  if (now == nullptr || now->state == RunState::dead) sink({}, true);
  return vfs::Unsubscribe([&streams, subscription] { streams.unsubscribe(subscription); });
}

Status may_be_written(const Process& process, const Caller&) {
  if (process.state != RunState::dead) return ok();
  return fail(ESRCH, "/proc/{}: the process is dead ({}); it can be read and reaped",
              process.pid.value, process.exit_reason);
}

constexpr auto kFiles = files<Process>({
    {.name = "_object.json",
     .mode = 0444,
     .doc = "All of the process in one JSON object.",
     .read = show_object},
    {.name = "calls",
     .mode = 0555,
     .doc = "The ledger of tool calls.",
     .directory = &kCallsDirectory},
    {.name = "chat",
     .mode = 0666,
     .doc = "Write a message to the agent; read the conversation.",
     .read = show_chat,
     .deliver = say},
    {.name = "context",
     .mode = 0444,
     .doc = "Exactly what the next request to the model would carry.",
     .read = show_context},
    {.name = "context.d",
     .mode = 0755,
     .doc = "Texts of the process's own context, NAME.md.",
     .documents = &kProcessContext},
    {.name = "context.why",
     .mode = 0444,
     .doc = "Each source of the context: source, bytes, tokens, kept or dropped and why; the first "
            "line names the columns.",
     .read = show_context_why},
    {.name = "ctl", .mode = 0666, .doc = "Commands to the process, one a line.", .verbs = kVerbs},
    {.name = "cwd",
     .mode = 0666,
     .doc = "Directory of the mount that it works in.",
     .read = show_cwd,
     .write = set_cwd},
    {.name = "deadline",
     .mode = 0666,
     .doc = "When it is killed; an empty line without one.",
     .read = show_deadline,
     .write = set_deadline},
    {.name = "digest",
     .mode = 0444,
     .doc = "Six lines that say what it is and does.",
     .read = show_digest},
    {.name = "errors",
     .mode = 0444,
     .doc = "What failed lately, the newest last: time, errno, file, sentence.",
     .read = show_errors},
    {.name = "events.jsonl",
     .mode = 0444,
     .doc = "Journal records about the process, the newest last; poll wakes when there are more.",
     .read = show_events},
    {.name = "heartbeat",
     .mode = 0444,
     .doc = "Time of its last sign of life.",
     .read = show_heartbeat},
    {.name = "limits",
     .mode = 0666,
     .doc = "Its budget: tokens=N,usd=X,calls=N,turns=N,wall=DURATION, or none. A write replaces "
            "all of "
            "it: what it leaves out has no limit.",
     .read = show_limits,
     .write = set_limits},
    {.name = "messages",
     .mode = 0555,
     .doc = "The conversation, one file a message.",
     .documents = &kMessages},
    {.name = "model",
     .mode = 0666,
     .doc = "Model of /dev/llm that it talks to.",
     .read = show_model,
     .write = set_model},
    {.name = "name", .mode = 0666, .doc = "Its name.", .read = show_name, .write = set_name},
    {.name = "owner", .mode = 0444, .doc = "User that it belongs to.", .read = show_owner},
    {.name = "parent",
     .mode = 0444,
     .doc = "Process that made it; 0 for a person's own.",
     .read = show_parent},
    {.name = "priority",
     .mode = 0666,
     .doc = "From -20 (first) to 19.",
     .read = show_priority,
     .write = set_priority},
    {.name = "profile",
     .mode = 0666,
     .doc = "Kind of agent: a directory of /etc/profiles.",
     .read = show_profile,
     .write = set_profile},
    {.name = "started", .mode = 0444, .doc = "When it was made.", .read = show_started},
    {.name = "state",
     .mode = 0444,
     .doc = "Run state: one word; poll wakes when it changes.",
     .read = show_state},
    {.name = "status", .mode = 0444, .doc = "Summary, one Key: value a line.", .read = show_status},
    {.name = "stream",
     .mode = 0444,
     .doc = "Blocks: the model's text and tool calls as they come.",
     .follow = follow_stream,
     .listed = false},
    {.name = "usage",
     .mode = 0444,
     .doc = "What it has used: own, with children, limit.",
     .read = show_usage},
    {.name = "wait",
     .mode = 0444,
     .doc = "Blocks until the run under way ends; gives its answer.",
     .wait = await_answer,
     .listed = false},
    {.name = "workspace",
     .mode = 0444,
     .doc = "Directory of /workspaces that it works in.",
     .read = show_workspace},
});

}  // namespace

const vfs::Directory<Process> kProcessDirectory("<pid>", "One agent process.", find_process, kFiles,
                                                may_be_written);

}  // namespace agentfs::tree
