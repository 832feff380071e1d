// SPDX-License-Identifier: MIT
#include "kernel/import_order.h"

#include <cstdint>
#include <ranges>
#include <set>

#include "base/json.h"
#include "base/text.h"
#include "kernel/merge_bases.h"

namespace agentfs {
namespace {

constexpr std::string_view kCommitted = "committed/";      // and the start's number
constexpr std::string_view kUncommitted = "uncommitted/";  // and that, "/", the commit's or 0

std::optional<std::string_view> after(const SnapshotInfo& state, std::string_view prefix) {
  if (state.hidden || !state.label.starts_with(prefix)) return std::nullopt;
  return std::string_view(state.label).substr(prefix.size());
}

}  // namespace

std::string ImportOrder::note() const {
  json::Value value;
  value.set("operation", operation).set("start", value_of(start));
  value.set("from", value_of(from)).set("to", value_of(to));
  by.write(value);
  return json::dump(value);
}

std::optional<ImportOrder> ImportOrder::parse(std::string_view note) {
  if (!note.starts_with('{')) return std::nullopt;
  const auto value = json::parse(note);
  if (!value) return std::nullopt;
  return ImportOrder{.operation = std::string((*value)["operation"].text()),
                     .start = snapshot_of((*value)["start"]),
                     .from = snapshot_of((*value)["from"]),
                     .to = snapshot_of((*value)["to"]),
                     .by = StoredCaller::read(*value)};
}

std::string committed_label(SnapshotId start) {
  return fmt::format("{}{}", kCommitted, start.sequence);
}

std::string ImportMark::note() const {
  const std::string state = fmt::format("{} {}", before.tree, before.sequence);
  return undo.empty() ? state : fmt::format("{} {}", state, undo);
}

Result<ImportMark> ImportMark::parse(std::string_view note) {
  const auto words = text::words(note);
  const bool is_one = words.size() == 2 || words.size() == 3;
  const auto tree = is_one ? text::number<std::uint32_t>(words[0]) : std::nullopt;
  const auto state = is_one ? text::number<std::uint64_t>(words[1]) : std::nullopt;
  if (!tree || !state) return fail(EBADMSG, "{}: no state of a hidden tree", text::shown(note));
  return ImportMark{{*tree, *state}, words.size() == 3 ? std::string(words[2]) : ""};
}

std::string uncommitted_label(SnapshotId start, std::optional<SnapshotId> commit) {
  return fmt::format("{}{}/{}", kUncommitted, start.sequence, commit ? commit->sequence : 0);
}

std::optional<ImportCommit> commit_of(const SnapshotInfo& state) {
  const auto label = after(state, kCommitted);
  const auto start = label ? text::number<std::uint64_t>(*label) : std::nullopt;
  if (!start) return std::nullopt;
  return ImportCommit{.before = {state.id.tree, *start}, .after = state.id};
}

std::optional<ImportUncommit> uncommit_of(const SnapshotInfo& state) {
  const auto label = after(state, kUncommitted);
  const auto parts = text::split(label.value_or(""), '/');
  if (parts.size() != 2) return std::nullopt;
  const auto start = text::number<std::uint64_t>(parts[0]);
  const auto commit = text::number<std::uint64_t>(parts[1]);
  if (!start || !commit) return std::nullopt;
  ImportUncommit all{.start = {state.id.tree, *start}, .after = state.id};
  if (*commit != 0) all.commit = SnapshotId{state.id.tree, *commit};
  return all;
}

std::optional<SnapshotId> order_start(const SnapshotInfo& state) {
  if (const auto commit = commit_of(state)) return commit->before;
  if (const auto uncommit = uncommit_of(state)) return uncommit->start;
  return std::nullopt;
}

std::optional<ImportCommit> last_commit(const TreeInfo& hidden_tree) {
  std::set<SnapshotId> taken_back;
  for (const SnapshotInfo& one : hidden_tree.snapshots | std::views::reverse) {
    if (const auto uncommit = uncommit_of(one); uncommit && uncommit->commit) {
      taken_back.insert(*uncommit->commit);
    }
    const auto commit = commit_of(one);
    if (commit && !taken_back.contains(commit->after)) return commit;
  }
  return std::nullopt;
}

}  // namespace agentfs
