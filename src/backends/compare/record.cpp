// SPDX-License-Identifier: MIT
#include "backends/compare/record.h"

#include <optional>

#include "base/json.h"
#include "base/text.h"

namespace agentfs::compare {
namespace {

constexpr std::int64_t kFormat = 1;

std::int64_t number(std::uint64_t value) { return static_cast<std::int64_t>(value); }

json::Value state_value(const FileState& state) {
  return json::Array{std::int64_t{state.mode},
                     number(state.device),
                     number(state.inode),
                     number(state.special),
                     state.size,
                     state.modified,
                     state.changed};
}

std::optional<FileState> state_from(const json::Value& value) {
  const json::Array* const parts = value.array();
  if (parts == nullptr || parts->size() != 7) return std::nullopt;
  const auto part = [&](std::size_t at) { return (*parts)[at].number(); };
  return FileState{.mode = static_cast<mode_t>(part(0)),
                   .device = static_cast<std::uint64_t>(part(1)),
                   .inode = static_cast<std::uint64_t>(part(2)),
                   .special = static_cast<std::uint64_t>(part(3)),
                   .size = part(4),
                   .modified = part(5),
                   .changed = part(6)};
}

// A name of the disk may be any bytes; JSON takes text only.
json::Value path_value(const std::string& path) {
  if (text::is_utf8(path)) return path;
  return json::Object{{"hex", text::hex(path)}};
}

std::optional<std::string> path_from(const json::Value& value) {
  if (const std::string* const path = value.string()) return *path;
  return text::unhex(value["hex"].text());
}

std::optional<MergeStep> step_from(const json::Value& value) {
  const std::string_view kind = value["do"].text();
  auto path = path_from(value["path"]);
  const auto before = state_from(value["before"]);
  const auto after = state_from(value["after"]);
  if (kind.size() != 1 || std::string_view("tpsm").find(kind) == std::string_view::npos) {
    return std::nullopt;
  }
  if (!path || path->empty() || !before || !after) return std::nullopt;
  return MergeStep{.kind = static_cast<MergeStep::Kind>(kind[0]),
                   .path = std::move(*path),
                   .name = std::string(value["name"].text()),
                   .before = *before,
                   .after = *after};
}

}  // namespace

std::string to_text(const MergeRecord& record) {
  json::Array steps;
  for (const MergeStep& step : record.steps) {
    steps.emplace_back(json::Object{{"do", std::string(1, static_cast<char>(step.kind))},
                                    {"path", path_value(step.path)},
                                    {"name", step.name},
                                    {"before", state_value(step.before)},
                                    {"after", state_value(step.after)}});
  }
  return json::dump(
      json::Object{{"format", kFormat}, {"durable", record.durable}, {"steps", std::move(steps)}});
}

Result<MergeRecord> record_of(std::string_view text) {
  const json::Value value = TRY(json::parse(text));
  if (value["format"].number() != kFormat || value["steps"].array() == nullptr) {
    return fail(EBADMSG, "record of a merge: format {}; {} is known", value["format"].number(),
                kFormat);
  }
  MergeRecord record{.durable = value["durable"].truth(true)};
  for (const json::Value& step : *value["steps"].array()) {
    auto read = step_from(step);
    if (!read) {
      return fail(EBADMSG, "record of a merge: step {} is damaged", record.steps.size() + 1);
    }
    record.steps.push_back(std::move(*read));
  }
  return record;
}

}  // namespace agentfs::compare
