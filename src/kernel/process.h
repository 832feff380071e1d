// SPDX-License-Identifier: MIT
// What the kernel knows of one agent process, as a value: one instant of it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/model_driver.h"
#include "base/ids.h"
#include "base/json.h"

namespace agentfs {

enum class RunState {
  idle,
  queued,
  running,
  waiting_model,
  waiting_tool,
  waiting_approval,
  stopped,
  draining,
  dead
};
std::string_view name(RunState state);  // "waiting-model"
std::optional<RunState> parse_run_state(std::string_view word);
// The explicit table of what may follow what (kernel/process.cpp).
bool may_follow(RunState from, RunState to);

// One message of the conversation, never changed after it was made.
struct Message {
  enum class Role { user, assistant, tool, system } role = Role::user;
  std::uint64_t number = 0;  // from 1, within the process
  std::int64_t time = 0;
  std::string text;
  std::string from;             // who wrote a user message: "root", "pid 5"
  std::vector<ToolCall> calls;  // of an assistant message
  std::string call_id;          // of a tool message: which call it answers
  std::uint64_t run = 0;
};
using MessageRef = std::shared_ptr<const Message>;

// One tool call: the ledger's entry.
struct Call {
  enum class State {
    pending,
    running,
    done,
    failed,
    interrupted,
    cancelled
  } state = State::pending;
  std::uint64_t number = 0;  // from 1, within the process
  std::string id;            // the model's
  std::string tool;
  std::string arguments;          // as the model gave them
  std::string result;             // what the model is told, bounded
  std::string result_blob;        // hash of the whole result where `result` is a part of it
  std::uint64_t result_size = 0;  // of the whole
  std::int64_t started = 0;
  std::int64_t ended = 0;  // 0: not yet
  std::uint64_t run = 0;
  std::uint64_t turn = 0;
};
using CallRef = std::shared_ptr<const Call>;
std::string_view name(Call::State state);

// Counters that limits bound; a child's are charged to its ancestors as well.
struct Usage {
  std::int64_t tokens_in = 0;
  std::int64_t tokens_out = 0;
  std::int64_t tokens_cached = 0;
  std::int64_t micro_usd = 0;  // millionths of a dollar
  std::int64_t calls = 0;
  std::int64_t turns = 0;    // model calls that were answered
  std::int64_t wall_ns = 0;  // time in runs
  std::int64_t retries = 0;
  std::int64_t tokens() const { return tokens_in + tokens_out; }
};

// 0: no limit.
struct Limits {
  std::int64_t tokens = 0;
  std::int64_t micro_usd = 0;
  std::int64_t calls = 0;
  std::int64_t turns = 0;
  std::int64_t wall_ns = 0;
};

// A request to the agent, from its first message to the answer.
struct Run {
  std::uint64_t number = 0;  // from 1; 0: there was none yet
  std::int64_t started = 0;
  std::int64_t ended = 0;        // 0: under way
  std::string outcome;           // "answered", "cancelled", "failed", "quota:tokens", "deadline"
  std::string text;              // the answer, or the reason
  bool model_call_open = false;  // a request to the model is under way: made again after a crash
};

// Of processes whose record does not tell it: the user database does.
inline constexpr gid_t kNoGroup = static_cast<gid_t>(-1);

struct Process {
  ProcessId pid;
  ProcessId parent;  // 0 for an init process
  std::string name;  // [a-z0-9-]+
  std::string user;  // owner
  uid_t uid = 0;
  gid_t gid = kNoGroup;
  bool is_init = false;  // of a person: never runs a model
  RunState state = RunState::idle;
  std::string exit_reason;  // of a dead process
  std::string profile = "default";
  std::string model = "default";
  std::string workspace;  // name under /workspaces, or ""
  std::string cwd;        // path of the mount
  int priority = 0;
  std::int64_t deadline = 0;  // wall clock, ns; 0: none
  std::int64_t started = 0;
  std::int64_t heartbeat = 0;  // time of the last record about it
  std::int64_t ended = 0;
  Limits limits;
  Usage usage;                       // its own
  Usage subtree;                     // its own and that of all its descendants
  Run run;                           // the current one or the last
  std::vector<MessageRef> messages;  // the conversation
  std::vector<MessageRef> queued;    // user messages not yet taken up by a run
  std::vector<CallRef> calls;
  std::map<std::string, std::string> context;  // its own context.d: name -> text
  Sequence spawned;                            // record that made it
  Sequence changed;                            // last record about it
};
// An immutable instant: readers keep it as long as they like, writers make a new one.
using ProcessRef = std::shared_ptr<const Process>;

}  // namespace agentfs
