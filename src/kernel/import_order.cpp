// SPDX-License-Identifier: MIT
#include "kernel/import_order.h"

#include <cstdint>
#include <ranges>

#include "base/json.h"
#include "base/text.h"
#include "kernel/merge_bases.h"

namespace agentfs {
namespace {

constexpr std::string_view kCommitted = "committed/";

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

std::string note_of(SnapshotId state) { return fmt::format("{} {}", state.tree, state.sequence); }

std::optional<SnapshotId> commit_start(const SnapshotInfo& state) {
  if (state.hidden || !state.label.starts_with(kCommitted)) return std::nullopt;
  const auto start =
      text::number<std::uint64_t>(std::string_view(state.label).substr(kCommitted.size()));
  return start ? std::optional(SnapshotId{state.id.tree, *start}) : std::nullopt;
}

std::optional<ImportCommit> last_commit(const TreeInfo& hidden_tree) {
  for (const SnapshotInfo& one : hidden_tree.snapshots | std::views::reverse) {
    if (const auto start = commit_start(one)) return ImportCommit{*start, one.id};
  }
  return std::nullopt;
}

}  // namespace agentfs
