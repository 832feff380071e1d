// SPDX-License-Identifier: MIT
#include "kernel/process_json.h"

#include <algorithm>
#include <array>
#include <concepts>
#include <utility>

namespace agentfs {
namespace {

constexpr std::array<std::string_view, 4> kRoles = {"user", "assistant", "tool", "system"};
constexpr std::array kCallStates = {Call::State::pending,     Call::State::running,
                                    Call::State::done,        Call::State::failed,
                                    Call::State::interrupted, Call::State::cancelled};

// A member that is the name of a file: any bytes.
struct NameBytes {
  std::string& bytes;
};

// One list of members serves both directions: `Visit` gets each member's name and the member.
template <class Visit>
void members(Usage& u, Visit&& visit) {
  visit("tokens_in", u.tokens_in);
  visit("tokens_out", u.tokens_out);
  visit("tokens_cached", u.tokens_cached);
  visit("micro_usd", u.micro_usd);
  visit("calls", u.calls);
  visit("turns", u.turns);
  visit("wall_ns", u.wall_ns);
  visit("retries", u.retries);
}

template <class Visit>
void members(Limits& l, Visit&& visit) {
  visit("tokens", l.tokens);
  visit("micro_usd", l.micro_usd);
  visit("calls", l.calls);
  visit("turns", l.turns);
  visit("wall_ns", l.wall_ns);
}

template <class Visit>
void members(Run& r, Visit&& visit) {
  visit("number", r.number);
  visit("started", r.started);
  visit("ended", r.ended);
  visit("outcome", r.outcome);
  visit("text", r.text);
  visit("model_call_open", r.model_call_open);
}

template <class Visit>
void members(ToolCall& c, Visit&& visit) {
  visit("id", c.id);
  visit("name", c.name);
  visit("arguments", c.arguments);
}

template <class Visit>
void members(Message& m, Visit&& visit) {
  visit("role", m.role);
  visit("number", m.number);
  visit("time", m.time);
  visit("text", m.text);
  visit("from", m.from);
  visit("calls", m.calls);
  visit("call_id", m.call_id);
  visit("run", m.run);
}

template <class Visit>
void members(Call& c, Visit&& visit) {
  visit("state", c.state);
  visit("number", c.number);
  visit("id", c.id);
  visit("tool", c.tool);
  visit("arguments", c.arguments);
  visit("result", c.result);
  visit("result_blob", c.result_blob);
  visit("result_size", c.result_size);
  visit("started", c.started);
  visit("ended", c.ended);
  visit("run", c.run);
  visit("turn", c.turn);
}

template <class Visit>
void members(Process& p, Visit&& visit) {
  visit("pid", p.pid);
  visit("parent", p.parent);
  visit("name", p.name);
  visit("user", p.user);
  visit("uid", p.uid);
  visit("gid", p.gid);
  visit("is_init", p.is_init);
  visit("state", p.state);
  visit("exit_reason", p.exit_reason);
  visit("profile", p.profile);
  visit("model", p.model);
  visit("workspace", NameBytes{p.workspace});
  visit("cwd", NameBytes{p.cwd});
  visit("priority", p.priority);
  visit("deadline", p.deadline);
  visit("started", p.started);
  visit("heartbeat", p.heartbeat);
  visit("ended", p.ended);
  visit("limits", p.limits);
  visit("usage", p.usage);
  visit("subtree", p.subtree);
  visit("run", p.run);
  visit("queued", p.queued);
  visit("context", p.context);
  visit("spawned", p.spawned);
  visit("changed", p.changed);
}

template <class T>
  requires std::is_class_v<T>
json::Value write(const T& object);

json::Value write(const std::string& v) { return v; }
json::Value write(bool v) { return v; }
template <std::integral Integer>
json::Value write(Integer v) {
  return v;
}
template <class Tag>
json::Value write(Id<Tag> v) {
  return v.value;
}
json::Value write(RunState v) { return name(v); }
json::Value write(Message::Role v) { return name(v); }
json::Value write(Call::State v) { return name(v); }
json::Value write(const std::vector<ToolCall>& v) {
  json::Array array;
  for (const ToolCall& call : v) array.push_back(write<ToolCall>(call));
  return array;
}
json::Value write(const std::vector<MessageRef>& v) {
  json::Array array;
  for (const MessageRef& message : v) array.push_back(write<Message>(*message));
  return array;
}
json::Value write(const std::map<std::string, std::string>& v) {
  json::Object object;
  for (const auto& [key, text] : v) object.emplace_back(key, text);
  return object;
}

template <class T>
  requires std::is_class_v<T>
json::Value write(const T& object) {
  json::Value result{json::Object()};
  members(const_cast<T&>(object), [&](std::string_view name, auto&& member) {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(member)>, NameBytes>) {
      json::set_bytes(result, name, member.bytes);
    } else {
      result.object()->emplace_back(std::string(name), write(std::as_const(member)));
    }
  });
  return result;
}

template <class T>
T parse(const json::Value& value);

void read(const json::Value& v, std::string& out) { out = v.text(out); }
void read(const json::Value& v, bool& out) { out = v.truth(out); }
template <std::integral Integer>
void read(const json::Value& v, Integer& out) {
  out = static_cast<Integer>(v.number(static_cast<std::int64_t>(out)));
}
template <class Tag>
void read(const json::Value& v, Id<Tag>& out) {
  out.value = static_cast<std::uint64_t>(v.number());
}
void read(const json::Value& v, RunState& out) { out = parse_run_state(v.text()).value_or(out); }
void read(const json::Value& v, Message::Role& out) { out = parse_role(v.text()).value_or(out); }
void read(const json::Value& v, Call::State& out) {
  out = parse_call_state(v.text()).value_or(out);
}
void read(const json::Value& v, std::vector<ToolCall>& out) {
  if (const json::Array* items = v.array()) {
    for (const json::Value& item : *items) out.push_back(parse<ToolCall>(item));
  }
}
void read(const json::Value& v, std::vector<MessageRef>& out) {
  if (const json::Array* items = v.array()) {
    for (const json::Value& item : *items) {
      out.push_back(std::make_shared<const Message>(parse<Message>(item)));
    }
  }
}
void read(const json::Value& v, std::map<std::string, std::string>& out) {
  if (const json::Object* items = v.object()) {
    for (const auto& [key, item] : *items) out[key] = item.text();
  }
}
template <class T>
  requires std::is_class_v<T>
void read(const json::Value& v, T& out) {
  out = parse<T>(v);
}

template <class T>
T parse(const json::Value& value) {
  T object;
  members(object, [&](std::string_view name, auto&& member) {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(member)>, NameBytes>) {
      member.bytes = json::bytes_of(value, name);
    } else {
      read(value[name], member);
    }
  });
  return object;
}

}  // namespace

json::Value to_json(const Process& process) { return write(process); }
json::Value to_json(const Message& message) { return write(message); }
json::Value to_json(const Call& call) { return write(call); }
json::Value to_json(const Usage& usage) { return write(usage); }
json::Value to_json(const Limits& limits) { return write(limits); }
Process process_from_json(const json::Value& value) { return parse<Process>(value); }
Message message_from_json(const json::Value& value) { return parse<Message>(value); }
Call call_from_json(const json::Value& value) { return parse<Call>(value); }
Usage usage_from_json(const json::Value& value) { return parse<Usage>(value); }
Limits limits_from_json(const json::Value& value) { return parse<Limits>(value); }

std::vector<ToolCall> tool_calls_from_json(const json::Value& value) {
  std::vector<ToolCall> calls;
  read(value, calls);
  return calls;
}

std::string_view name(Message::Role role) {
  return kRoles[static_cast<std::size_t>(std::to_underlying(role))];
}

std::optional<Message::Role> parse_role(std::string_view word) {
  const auto found = std::ranges::find(kRoles, word);
  if (found == kRoles.end()) return std::nullopt;
  return static_cast<Message::Role>(found - kRoles.begin());
}

std::optional<Call::State> parse_call_state(std::string_view word) {
  const auto found = std::ranges::find_if(kCallStates, [&](auto s) { return name(s) == word; });
  if (found == kCallStates.end()) return std::nullopt;
  return *found;
}

}  // namespace agentfs
