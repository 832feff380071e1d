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

std::optional<ImportCommit> last_commit(const TreeInfo& hidden_tree) {
  for (const SnapshotInfo& one : hidden_tree.snapshots | std::views::reverse) {
    if (one.hidden || !one.label.starts_with(kCommitted)) continue;
    const auto start =
        text::number<std::uint64_t>(std::string_view(one.label).substr(kCommitted.size()));
    if (start) return ImportCommit{{one.id.tree, *start}, one.id};
  }
  return std::nullopt;
}

}  // namespace agentfs
