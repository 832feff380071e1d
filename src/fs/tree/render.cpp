// SPDX-License-Identifier: MIT
#include "fs/tree/render.h"

#include <algorithm>

#include "base/clock.h"
#include "base/text.h"
#include "kernel/process_json.h"

namespace agentfs::tree {
namespace {

void add(std::string& out, std::string_view key, std::string_view value) {
  fmt::format_to(std::back_inserter(out), "{}:\t{}\n", key, value);
}

std::string limit(std::int64_t value) { return value == 0 ? "-" : fmt::format("{}", value); }

void add_counter(std::string& out, std::string_view name, std::int64_t own, std::int64_t subtree,
                 std::int64_t bound) {
  fmt::format_to(std::back_inserter(out), "{}\t{}\t{}\t{}\n", name, own, subtree, limit(bound));
}

}  // namespace

std::string dollars(std::int64_t micro_usd) {
  return fmt::format("{}.{:06}", micro_usd / 1'000'000, micro_usd % 1'000'000);
}

std::string when(std::int64_t wall_nanoseconds) {
  return wall_nanoseconds == 0 ? "" : timestamp(wall_nanoseconds);
}

std::string seconds(std::int64_t nanoseconds) {
  return fmt::format("{}.{:03}", nanoseconds / 1'000'000'000, nanoseconds / 1'000'000 % 1000);
}

std::string render_status(const Process& p) {
  std::string out;
  add(out, "Name", p.name);
  add(out, "Pid", fmt::format("{}", p.pid.value));
  add(out, "Parent", fmt::format("{}", p.parent.value));
  add(out, "Owner", p.user);
  add(out, "State", name(p.state));
  add(out, "Profile", p.profile);
  add(out, "Model", p.model);
  add(out, "Workspace", p.workspace);
  add(out, "Cwd", p.cwd);
  add(out, "Priority", fmt::format("{}", p.priority));
  add(out, "Started", when(p.started));
  add(out, "Heartbeat", when(p.heartbeat));
  add(out, "Deadline", when(p.deadline));
  add(out, "Messages", fmt::format("{}", p.messages.size()));
  add(out, "Queued", fmt::format("{}", p.queued.size()));
  add(out, "Calls", fmt::format("{}", p.calls.size()));
  add(out, "Run", p.run.number == 0 ? "-" : fmt::format("{}", p.run.number));
  add(out, "Outcome", p.run.number != 0 && p.run.ended == 0 ? "under way" : p.run.outcome);
  add(out, "Tokens", fmt::format("{}", p.usage.tokens()));
  add(out, "Usd", dollars(p.usage.micro_usd));
  if (p.state == RunState::dead) add(out, "Exit", p.exit_reason);
  return out;
}

std::string render_usage(const Process& p) {
  std::string out = "# resource\town\twith children\tlimit\n";
  const Usage& u = p.usage;
  const Usage& s = p.subtree;
  add_counter(out, "tokens", u.tokens(), s.tokens(), p.limits.tokens);
  add_counter(out, "tokens_in", u.tokens_in, s.tokens_in, 0);
  add_counter(out, "tokens_out", u.tokens_out, s.tokens_out, 0);
  add_counter(out, "tokens_cached", u.tokens_cached, s.tokens_cached, 0);
  fmt::format_to(std::back_inserter(out), "usd\t{}\t{}\t{}\n", dollars(u.micro_usd),
                 dollars(s.micro_usd), p.limits.micro_usd == 0 ? "-" : dollars(p.limits.micro_usd));
  add_counter(out, "calls", u.calls, s.calls, p.limits.calls);
  add_counter(out, "turns", u.turns, s.turns, p.limits.turns);
  add_counter(out, "retries", u.retries, s.retries, 0);
  fmt::format_to(std::back_inserter(out), "wall\t{}\t{}\t{}\n", seconds(u.wall_ns),
                 seconds(s.wall_ns), p.limits.wall_ns == 0 ? "-" : seconds(p.limits.wall_ns));
  return out;
}

json::Value describe(const Message& m) {
  json::Value value = json::Object{};
  value.set("number", m.number).set("role", name(m.role)).set("time", when(m.time));
  value.set("run", m.run).set("text", m.text);
  if (!m.from.empty()) value.set("from", m.from);
  if (!m.call_id.empty()) value.set("call_id", m.call_id);
  if (!m.calls.empty()) {
    json::Array calls;
    for (const ToolCall& call : m.calls) {
      calls.push_back(
          json::Object{{"id", call.id}, {"name", call.name}, {"arguments", call.arguments}});
    }
    value.set("calls", std::move(calls));
  }
  return value;
}

json::Value describe(const Call& c) {
  json::Value value = json::Object{};
  value.set("number", c.number).set("id", c.id).set("tool", c.tool).set("state", name(c.state));
  value.set("arguments", c.arguments).set("result", c.result);
  value.set("result_size", c.result_size).set("result_blob", c.result_blob);
  value.set("started", when(c.started)).set("ended", when(c.ended));
  value.set("run", c.run).set("turn", c.turn);
  return value;
}

json::Value describe(const Process& p) {
  json::Value value = json::Object{};
  value.set("pid", p.pid.value).set("parent", p.parent.value).set("name", p.name);
  value.set("owner", p.user).set("state", name(p.state)).set("profile", p.profile);
  value.set("model", p.model).set("workspace", p.workspace).set("cwd", p.cwd);
  value.set("limits", show(p.limits)).set("priority", p.priority).set("started", when(p.started));
  value.set("heartbeat", when(p.heartbeat)).set("deadline", when(p.deadline));
  value.set("messages", p.messages.size()).set("queued", p.queued.size());
  value.set("calls", p.calls.size());
  value.set("run", json::Object{{"number", p.run.number},
                                {"started", when(p.run.started)},
                                {"ended", when(p.run.ended)},
                                {"outcome", p.run.outcome},
                                {"text", p.run.text}});
  value.set("usage", json::Object{{"tokens_in", p.usage.tokens_in},
                                  {"tokens_out", p.usage.tokens_out},
                                  {"tokens_cached", p.usage.tokens_cached},
                                  {"usd", static_cast<double>(p.usage.micro_usd) / 1e6},
                                  {"calls", p.usage.calls},
                                  {"turns", p.usage.turns},
                                  {"wall_seconds", static_cast<double>(p.usage.wall_ns) / 1e9}});
  if (p.state == RunState::dead) value.set("exit", p.exit_reason);
  return value;
}

std::string message_name(const Message& m) {
  return fmt::format("{:04}-{}.md", m.number, name(m.role));
}

}  // namespace agentfs::tree
