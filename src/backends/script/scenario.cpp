// SPDX-License-Identifier: MIT
#include "backends/script/scenario.h"

#include <algorithm>

#include "base/text.h"

namespace agentfs::script {
namespace {

constexpr std::size_t kSeenByExpression = 64u << 10;

constexpr std::int64_t kMost = 1'000'000'000;

std::string inside(const std::string& place, std::string_view name) {
  return place.empty() ? std::string(name) : fmt::format("{}.{}", place, name);
}

// A member of the wrong type is an error, an absent one is the default.
Result<std::string> text_at(const json::Value& object, std::string_view name,
                            const std::string& place, std::string_view otherwise = {}) {
  const json::Value& value = object[name];
  if (value.is_null()) return std::string(otherwise);
  if (value.string() != nullptr) return *value.string();
  return fail(EBADMSG, "{}: not a string ({}); a string will do", inside(place, name),
              text::shown(json::dump(value)));
}

Result<std::int64_t> number_at(const json::Value& object, std::string_view name,
                               const std::string& place, std::int64_t otherwise) {
  const json::Value& value = object[name];
  if (value.is_null()) return otherwise;
  if (value.integer() != nullptr && *value.integer() >= 0 && *value.integer() <= kMost) {
    return *value.integer();
  }
  return fail(EBADMSG, "{}: not a number in range ({}); 0 to {} will do", inside(place, name),
              text::shown(json::dump(value)), kMost);
}

Result<const json::Array*> list_at(const json::Value& object, std::string_view name,
                                   const std::string& place) {
  static const json::Array kEmpty;
  const json::Value& value = object[name];
  if (value.is_null()) return &kEmpty;
  if (value.array() != nullptr) return value.array();
  return fail(EBADMSG, "{}: not an array ({}); an array of objects will do", inside(place, name),
              text::shown(json::dump(value)));
}

Status known_members(const json::Value& value, const std::vector<std::string>& known,
                     const std::string& place) {
  if (value.object() == nullptr) {
    return fail(EBADMSG, "{}: not an object ({}); an object with {} will do",
                place.empty() ? "the file" : place, text::shown(json::dump(value)),
                text::join(known, ", "));
  }
  for (const auto& [name, member] : *value.object()) {
    if (std::ranges::find(known, name) != known.end()) continue;
    return fail(EBADMSG, "{}: no such member; there are {}{}", inside(place, name),
                text::join(known, ", "), text::did_you_mean(name, known));
  }
  return ok();
}

Result<Step::Call> parse_call(const json::Value& value, const std::string& place) {
  TRY(known_members(value, {"name", "arguments"}, place));
  Step::Call call;
  call.name = TRY(text_at(value, "name", place));
  if (call.name.empty()) {
    return fail(EBADMSG, "{}.name: missing; the name of a tool will do", place);
  }
  call.arguments = value["arguments"].is_null() ? json::Object{} : value["arguments"];
  return call;
}

Result<std::optional<TokenUsage>> parse_usage(const json::Value& step, const std::string& place) {
  const json::Value& value = step["usage"];
  if (value.is_null()) return std::nullopt;
  const std::string here = place + ".usage";
  TRY(known_members(value, {"input", "output", "cached"}, here));
  TokenUsage usage;
  usage.input = TRY(number_at(value, "input", here, 0));
  usage.output = TRY(number_at(value, "output", here, 0));
  usage.cached = TRY(number_at(value, "cached", here, 0));
  return usage;
}

Result<Task::Part> parse_part(const json::Value& value, const std::string& place) {
  TRY(known_members(value, {"when", "text", "calls", "delay_ms", "usage", "repeat"}, place));
  Task::Part part;
  part.step.text = TRY(text_at(value, "text", place));
  part.step.delay_ms = TRY(number_at(value, "delay_ms", place, 0));
  part.step.usage = TRY(parse_usage(value, place));
  part.repeat = TRY(number_at(value, "repeat", place, 1));
  const json::Array* calls = TRY(list_at(value, "calls", place));
  for (std::size_t i = 0; i < calls->size(); ++i) {
    part.step.calls.push_back(TRY(parse_call((*calls)[i], fmt::format("{}.calls[{}]", place, i))));
  }
  if (!value["when"].is_null()) {
    const std::string when = TRY(text_at(value, "when", place));
    auto pattern = Pattern::parse(when);
    if (!pattern) return fail(EBADMSG, "{}.when: {}", place, pattern.error().message);
    part.when = *std::move(pattern);
  }
  return part;
}

// `value` is the task, or the scenario itself where that has "steps".
Result<Task> parse_task(const json::Value& value, const std::string& place,
                        std::string_view after) {
  Task task;
  const std::string match = TRY(text_at(value, "match", place, "*"));
  auto pattern = Pattern::parse(match);
  if (!pattern) return fail(EBADMSG, "{}: {}", inside(place, "match"), pattern.error().message);
  task.match = *std::move(pattern);
  task.after = TRY(text_at(value, "after", place, after));
  const json::Array* steps = TRY(list_at(value, "steps", place));
  for (std::size_t i = 0; i < steps->size(); ++i) {
    task.parts.push_back(
        TRY(parse_part((*steps)[i], fmt::format("{}[{}]", inside(place, "steps"), i))));
  }
  return task;
}

}  // namespace

Result<Pattern> Pattern::parse(std::string_view text) {
  Pattern pattern;
  pattern.text_ = text;
  if (text.size() < 2 || !text.starts_with('/') || !text.ends_with('/')) return pattern;
  const std::string_view expression = text.substr(1, text.size() - 2);
  auto compiled = Expression::compile(expression);
  if (!compiled) {
    return fail(EBADMSG, "{}; a substring, * or another /expression/ will do",
                compiled.error().message);
  }
  pattern.expression_ = *std::move(compiled);
  return pattern;
}

bool Pattern::fits(std::string_view message) const {
  if (text_ == "*") return true;
  if (!expression_) return message.contains(text_);
  return expression_->is_in(text::prefix(message, kSeenByExpression));
}

const Step* Task::find(std::int64_t index, std::string_view message) const {
  for (const Part& part : parts) {
    if (part.when && !part.when->fits(message)) continue;
    if (index < part.repeat) return &part.step;
    index -= part.repeat;
  }
  return nullptr;
}

Result<Scenario> Scenario::parse(std::string_view text) {
  const auto parsed = json::parse(text);
  // What the file holds is not told: it may be no scenario at all.
  if (!parsed) return fail(EBADMSG, "not JSON ({} bytes)", text.size());
  const json::Value& value = *parsed;
  const std::string place;  // the top
  TRY(known_members(value, {"name", "steps", "tasks", "after"}, place));
  Scenario scenario;
  scenario.name = TRY(text_at(value, "name", place, "unnamed"));
  const std::string after = TRY(text_at(value, "after", place, "Done."));
  if (value["steps"].is_null() == value["tasks"].is_null()) {
    return fail(EBADMSG, "the file has {}; either \"steps\" or \"tasks\" will do",
                value["steps"].is_null() ? "neither steps nor tasks" : "both steps and tasks");
  }
  if (!value["steps"].is_null()) {
    scenario.tasks.push_back(TRY(parse_task(value, place, after)));
    return scenario;
  }
  const json::Array* tasks = TRY(list_at(value, "tasks", place));
  for (std::size_t i = 0; i < tasks->size(); ++i) {
    const std::string here = fmt::format("tasks[{}]", i);
    TRY(known_members((*tasks)[i], {"match", "steps", "after"}, here));
    scenario.tasks.push_back(TRY(parse_task((*tasks)[i], here, after)));
  }
  return scenario;
}

const Task* Scenario::find(std::string_view message) const {
  const auto found =
      std::ranges::find_if(tasks, [&](const Task& task) { return task.match.fits(message); });
  return found != tasks.end() ? &*found : nullptr;
}

}  // namespace agentfs::script
