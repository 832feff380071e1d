// SPDX-License-Identifier: MIT
#include "backends/imports/host_steps.h"

#include <algorithm>

#include "backends/imports/import_records.h"
#include "base/json.h"
#include "base/temporary_name.h"
#include "base/text.h"

namespace agentfs::imports {
namespace {

constexpr char kLines = '\1';
constexpr char kPairs = '\0';

Step step_from(const json::Value& value) {
  Step step{.path = json::bytes_of(value, "path"), .temporary = json::bytes_of(value, "temporary")};
  step.comes = value["comes"].truth();
  step.ours.emplace();
  if (const json::Array* const states = value["ours"].array()) {
    for (const json::Value& state : *states) step.ours->push_back(state_in(state));
  }
  if (step.ours->empty()) step.ours->emplace_back();
  return step;
}

std::vector<Step> steps_from_lines(std::string_view text) {
  std::vector<Step> steps;
  for (const std::string_view line : text::split(text, '\n')) {
    const auto value = line.empty() ? json::Value() : json::parse(line);
    if (value && !value->is_null()) steps.push_back(step_from(*value));
  }
  return steps;
}

std::vector<Step> steps_from_pairs(std::string_view text) {
  std::vector<Step> steps;
  const auto words = text::split(text, '\0');
  for (std::size_t i = 0; i + 1 < words.size(); i += 2) {
    steps.push_back({std::string(words[i]), std::string(words[i + 1])});
  }
  const auto end = std::ranges::find(steps, "", &Step::path);
  if (end == steps.end()) return steps;  // of an earlier version
  for (auto step = steps.begin(); step != end; ++step) step->comes = false;
  return steps;
}

}  // namespace

std::string text_of(const std::vector<Step>& steps) {
  std::string text(1, kLines);
  for (const Step& step : steps) {
    json::Value value;
    json::set_bytes(value, "path", step.path);
    json::set_bytes(value, "temporary", step.temporary);
    json::Array states;
    for (const FileState& state : step.ours.value_or(std::vector<FileState>())) {
      json::Value one;
      put_state(one, state);
      states.push_back(std::move(one));
    }
    value.set("comes", step.comes).set("ours", std::move(states));
    text += json::dump(value) + "\n";
  }
  return text;
}

std::vector<Step> steps_from(std::string_view text) {
  if (text.starts_with(kLines)) return steps_from_lines(text.substr(1));
  if (text.starts_with(kPairs)) return steps_from_pairs(text.substr(1));
  std::vector<Step> steps;
  for (const std::string_view word : text::split(text, '\0')) {
    const bool is_temporary = is_temporary_name(text::last_part(word));
    if (!is_temporary && !word.empty()) steps.push_back({std::string(word), {}});
    if (!is_temporary) continue;
    if (steps.empty() || !steps.back().temporary.empty()) steps.emplace_back();
    steps.back().temporary = word;
  }
  return steps;
}

}  // namespace agentfs::imports
