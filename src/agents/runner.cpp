// SPDX-License-Identifier: MIT
#include "agents/runner.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "agents/context.h"
#include "agents/tools.h"
#include "base/log.h"
#include "base/text.h"
#include "kernel/error_log.h"
#include "kernel/kinds.h"
#include "kernel/streams.h"

namespace agentfs::agents {
namespace {

constexpr std::chrono::seconds kRetryJournal{1};

// The run under way, 0 for none.
std::uint64_t open_run(const ProcessRef& process) {
  if (process == nullptr || process->state == RunState::dead) return 0;
  return process->run.ended == 0 ? process->run.number : 0;
}

}  // namespace

Runner::Committed Runner::commit(ProcessId pid, std::string_view kind, json::Object data) {
  data.insert(data.begin(), {"pid", pid.value});
  const Result<Record> record =
      kernel_.commit(kernel_.agent(pid), std::string(kind), json::Value(std::move(data)));
  if (record) return Committed::yes;
  const Error& error = record.error();
  if (error.code == ENOSPC || error.code == EIO) {
    kernel_.errors().add(pid, "agent", error);
    dispatcher_.wake_later(pid, kRetryJournal);
    return Committed::later;
  }
  // The process moved on: ended, stopped, out of budget. Anything else is a bug worth a line.
  if (error.code != ESRCH && error.code != ENOENT && error.code != EBUSY && error.code != EDQUOT) {
    log::error("agents: pid {}: {} refused: {}", pid.value, kind, error.message);
  }
  return Committed::refused;
}

ProfileSettings Runner::profile_of(const Process& process) const {
  ProfileSettings none;
  none.tools.emplace();  // one that has gone gives nothing any more
  return kernel_.configuration().profile(process.profile).value_or(std::move(none));
}

bool Runner::act(ProcessId pid) {
  if (const Arrival* arrival = dispatcher_.arrival(pid)) {
    if (!settle(pid, *arrival)) return false;
    dispatcher_.drop_arrival(pid);
    return true;
  }
  const ProcessRef process = kernel_.find_process(pid);
  const std::uint64_t run = open_run(process);
  // What an interrupt missed, since it came between a record and the start of what it stands for.
  dispatcher_.cancel_others(pid, run);
  if (process == nullptr) return false;
  UnderWay under_way = dispatcher_.under_way(pid, run);
  under_way.max_parallel = std::max<std::int64_t>(profile_of(*process).max_parallel_calls, 1);
  return take(pid, next_step(*process, under_way), *process);
}

void Runner::interrupt(ProcessId pid) {
  dispatcher_.cancel_others(pid, open_run(kernel_.find_process(pid)));
  dispatcher_.wake(pid);
}

bool Runner::take(ProcessId pid, const Step& step, const Process& process) {
  switch (step.kind) {
    case Step::Kind::rest:
      return false;
    case Step::Kind::begin_run:
      return begin_run(process);
    case Step::Kind::ask_model:
      return ask_model(pid);
    case Step::Kind::end_run:
      return end_run(process, step);
    case Step::Kind::begin_calls:
    case Step::Kind::end_calls:
      break;
  }
  const ProfileSettings profile = profile_of(process);
  return std::ranges::all_of(step.calls, [&](const CallRef& call) {
    return step.kind == Step::Kind::begin_calls ? begin_call(process, call, profile)
                                                : end_lost_call(process, *call);
  });
}

bool Runner::begin_run(const Process& process) {
  dispatcher_.empty_answers(process.pid) = 0;
  return commit(process.pid, kind::kRunBegin, {}) == Committed::yes;
}

bool Runner::ask_model(ProcessId pid) {
  ProcessRef process = kernel_.find_process(pid);
  if (open_run(process) == 0) return false;
  const bool after_tools =
      !process->messages.empty() && process->messages.back()->role == Message::Role::tool;
  if (after_tools) commit_files(*process);
  if (!process->queued.empty()) {
    if (commit(pid, kind::kMessageTake, {}) != Committed::yes) return false;
    process = kernel_.find_process(pid);
    if (process == nullptr) return false;
  }
  Result<Context> context = assemble(kernel_, *process, Reader::model);
  if (!context) {
    kernel_.errors().add(pid, "context", context.error());
    return fail_run(*process, context.error().message);
  }
  if (!process->run.model_call_open &&
      commit(pid, kind::kModelBegin, {{"model", process->model}}) != Committed::yes) {
    return false;
  }
  const std::uint64_t run = process->run.number;
  const Completion<ChatReply> reply = dispatcher_.expect_reply(pid, run);
  ChatRequest request;
  request.messages = std::move(context->messages);
  request.tools = std::move(context->tools);
  kernel_.ask_model(process->model, std::move(request), progress_of(pid), reply);
  return true;
}

ModelDriver::Progress Runner::progress_of(ProcessId pid) {
  return [weak = dispatcher_.weak_from_this(), &streams = kernel_.streams(),
          pid](const ModelProgress& progress) {
    const auto self = weak.lock();
    if (!self || progress.kind == ModelProgress::Kind::call) return;
    self->while_running([&] {
      const bool text = progress.kind == ModelProgress::Kind::text;
      streams.publish(pid, text ? progress.text : fmt::format("\n[retry: {}]\n", progress.text));
    });
  };
}

bool Runner::begin_call(const Process& process, const CallRef& call,
                        const ProfileSettings& profile) {
  const ProcessId pid = process.pid;
  if (commit(pid, kind::kCallBegin, {{"call", call->number}}) != Committed::yes) return false;
  kernel_.streams().publish(pid, fmt::format("\n[call {} {} {}]\n", call->number, call->tool,
                                             text::shown(call->arguments)));
  Result<DecodedCall> decoded = decode_call(call->tool, call->arguments, profile);
  if (!decoded) {
    kernel_.errors().add(pid, fmt::format("call:{}", call->number), decoded.error());
    return end_call(process, *call, std::unexpected(decoded.error()));
  }
  dispatcher_.start_call(
      pid, *call,
      [caller = kernel_.agent(pid, fmt::format("call:{}", call->number)),
       syscall = decoded->syscall, arguments = std::move(decoded->arguments)](
          const Completion<std::string>& done) { syscall->call(caller, arguments, done); });
  return true;
}

// Only where the kernel did not do it at the start.
bool Runner::end_lost_call(const Process& process, const Call& call) {
  return commit(
             process.pid, kind::kCallEnd,
             {{"call", call.number},
              {"state", name(Call::State::interrupted)},
              {"result", "interrupted: its outcome is not known; look before doing it again"}}) ==
         Committed::yes;
}

bool Runner::end_run(const Process& process, const Step& step) {
  commit_files(process);
  const Committed committed =
      commit(process.pid, kind::kRunEnd, {{"outcome", step.outcome}, {"text", step.text}});
  return committed == Committed::yes;
}

void Runner::commit_files(const Process& process) {
  if (process.workspace.empty()) return;
  const auto turn = static_cast<std::uint64_t>(process.usage.turns);
  if (const Result<std::string> id = kernel_.commit_turn(process.pid, turn); !id) {
    kernel_.errors().add(process.pid, "turn commit", id.error());
  }
}

}  // namespace agentfs::agents
