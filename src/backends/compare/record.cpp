// SPDX-License-Identifier: MIT
#include "backends/compare/record.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "backends/merge.h"
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

json::Value xattrs_value(const Xattrs& xattrs) {
  json::Array told;
  for (const auto& [name, value] : xattrs) {
    told.emplace_back(json::Array{text::hex(name), text::hex(value)});
  }
  return told;
}

std::optional<Xattrs> xattrs_from(const json::Value& value) {
  if (value.array() == nullptr) return std::nullopt;
  Xattrs xattrs;
  for (const json::Value& pair : *value.array()) {
    if (pair.array() == nullptr || pair.array()->size() != 2) return std::nullopt;
    const auto name = text::unhex(pair.array()->front().text());
    const auto bytes = text::unhex(pair.array()->back().text());
    if (!name || !bytes) return std::nullopt;
    xattrs.emplace(*name, *bytes);
  }
  return xattrs;
}

json::Value to_value(const FileAttributes& attributes) {
  return json::Object{{"uid", std::int64_t{attributes.uid}},
                      {"gid", std::int64_t{attributes.gid}},
                      {"xattrs", xattrs_value(attributes.xattrs)}};
}

// Absent in most steps. False where it is damaged.
bool read_attributes(const json::Value& value, std::optional<FileAttributes>& attributes) {
  if (value.is_null()) return true;
  auto xattrs = xattrs_from(value["xattrs"]);
  if (!xattrs) return false;
  attributes = FileAttributes{.uid = static_cast<uid_t>(value["uid"].number()),
                              .gid = static_cast<gid_t>(value["gid"].number()),
                              .xattrs = *std::move(xattrs)};
  return true;
}

std::optional<MergeStep> step_from(const json::Value& value) {
  const std::string_view kind = value["do"].text();
  auto path = json::bytes_of(value["path"]);
  const auto before = state_from(value["before"]);
  const auto after = state_from(value["after"]);
  if (kind.size() != 1 || std::string_view("tpsm").find(kind) == std::string_view::npos) {
    return std::nullopt;
  }
  if (!path || path->empty() || !before || !after) return std::nullopt;
  MergeStep step{.kind = static_cast<MergeStep::Kind>(kind[0]),
                 .path = std::move(*path),
                 .name = std::string(value["name"].text()),
                 .before = *before,
                 .after = *after,
                 .whole = value["whole"].truth(),
                 .fresh = value["fresh"].truth()};
  const bool is_whole = read_attributes(value["had"], step.had) &&
                        read_attributes(value["gets"], step.gets) &&
                        step.had.has_value() == step.gets.has_value();
  return is_whole ? std::optional(std::move(step)) : std::nullopt;
}

json::Value to_value(const FoldPiece& piece) {
  return json::Object{{"do", std::string(1, static_cast<char>(piece.kind))},
                      {"from", json::element_of(piece.from)},
                      {"name", piece.name}};
}

std::optional<FoldPiece> piece_from(const json::Value& value) {
  const std::string_view kind = value["do"].text();
  auto from = json::bytes_of(value["from"]);
  if (kind.size() != 1 || std::string_view("ailx").find(kind) == std::string_view::npos || !from) {
    return std::nullopt;
  }
  return FoldPiece{.kind = static_cast<FoldPiece::Kind>(kind[0]),
                   .from = std::move(*from),
                   .name = std::string(value["name"].text())};
}

json::Value to_value(const FoldDress& dress) {
  json::Object told{{"path", json::element_of(dress.path)},
                    {"modified", dress.modified},
                    {"xattrs", xattrs_value(dress.xattrs)}};
  if (dress.mode) told.emplace_back("permissions", std::int64_t{*dress.mode});
  return told;
}

// Older records have "mode", whose 0 says nothing.
std::optional<mode_t> permissions_from(const json::Value& value) {
  if (value["permissions"].integer() != nullptr) {
    return static_cast<mode_t>(value["permissions"].number());
  }
  const auto mode = static_cast<mode_t>(value["mode"].number());
  return mode == 0 ? std::nullopt : std::optional(mode);
}

std::optional<FoldDress> dress_from(const json::Value& value) {
  auto path = json::bytes_of(value["path"]);
  auto xattrs = xattrs_from(value["xattrs"]);
  if (!path || !xattrs) return std::nullopt;
  return FoldDress{.path = std::move(*path),
                   .mode = permissions_from(value),
                   .modified = value["modified"].number(),
                   .xattrs = *std::move(xattrs)};
}

// Absent in the record of a merge.
template <class Part>
bool read_parts(const json::Value& value, std::optional<Part> (*read)(const json::Value&),
                std::vector<Part>& parts) {
  if (value.array() == nullptr) return value.is_null();
  for (const json::Value& one : *value.array()) {
    auto part = read(one);
    if (!part) return false;
    parts.push_back(std::move(*part));
  }
  return true;
}

}  // namespace

std::string to_text(const MergeRecord& record) {
  json::Array steps;
  for (const MergeStep& step : record.steps) {
    json::Object told{{"do", std::string(1, static_cast<char>(step.kind))},
                      {"path", json::element_of(step.path)},
                      {"name", step.name},
                      {"before", state_value(step.before)},
                      {"after", state_value(step.after)}};
    if (step.whole) told.emplace_back("whole", true);
    if (step.fresh) told.emplace_back("fresh", true);
    if (step.had) told.emplace_back("had", to_value(*step.had));
    if (step.gets) told.emplace_back("gets", to_value(*step.gets));
    steps.emplace_back(std::move(told));
  }
  json::Object told{{"format", kFormat}, {"durable", record.durable}, {"steps", std::move(steps)}};
  json::Array pieces;
  json::Array dresses;
  for (const FoldPiece& piece : record.pieces) pieces.push_back(to_value(piece));
  for (const FoldDress& dress : record.dresses) dresses.push_back(to_value(dress));
  if (!pieces.empty()) told.emplace_back("pieces", std::move(pieces));
  if (!dresses.empty()) told.emplace_back("dresses", std::move(dresses));
  return json::dump(std::move(told));
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
  if (!read_parts(value["pieces"], piece_from, record.pieces) ||
      !read_parts(value["dresses"], dress_from, record.dresses)) {
    return fail(EBADMSG, "record of a fold: damaged");
  }
  return record;
}

}  // namespace agentfs::compare

namespace agentfs {

std::string to_text(const MergeConflict& conflict) {
  json::Value value;
  value.set("reason", std::string(word_of(conflict.reason))).set("sentence", conflict.sentence);
  value.set("path", json::element_of(conflict.path));
  value.set("base_path", json::element_of(conflict.base_path));
  value.set("ours_path", json::element_of(conflict.ours_path));
  value.set("theirs_path", json::element_of(conflict.theirs_path));
  value.set("base", compare::state_value(conflict.base));
  value.set("ours", compare::state_value(conflict.ours));
  value.set("theirs", compare::state_value(conflict.theirs));
  if (!conflict.theirs_attributes.empty()) {
    value.set("theirs_attributes", conflict.theirs_attributes);
  }
  value.set("has_merged", conflict.has_merged);
  return json::dump(value);
}

Result<MergeConflict> conflict_of(std::string_view text) {
  using enum MergeConflict::Reason;
  constexpr MergeConflict::Reason kReasons[] = {content, binary, both_added, deleted,
                                                renamed, type,   mode,       attributes};
  const json::Value value = TRY(json::parse(text));
  MergeConflict conflict{.sentence = std::string(value["sentence"].text()),
                         .theirs_attributes = std::string(value["theirs_attributes"].text()),
                         .has_merged = value["has_merged"].truth()};
  const auto reason = std::ranges::find(kReasons, value["reason"].text(), word_of);
  const auto base = compare::state_from(value["base"]);
  const auto ours = compare::state_from(value["ours"]);
  const auto theirs = compare::state_from(value["theirs"]);
  if (reason == std::end(kReasons) || !base || !ours || !theirs) {
    return fail(EBADMSG, "no conflict of a merge: {}", text::shown(text));
  }
  conflict.reason = *reason;
  conflict.base = *base;
  conflict.ours = *ours;
  conflict.theirs = *theirs;
  for (const auto& [name, path] : {std::pair("path", &conflict.path),
                                   {"base_path", &conflict.base_path},
                                   {"ours_path", &conflict.ours_path},
                                   {"theirs_path", &conflict.theirs_path}}) {
    *path = json::bytes_of(value[name]).value_or(std::string());
  }
  if (conflict.path.empty()) return fail(EBADMSG, "a conflict of a merge without a path");
  return conflict;
}

}  // namespace agentfs
