// SPDX-License-Identifier: MIT
#include "kernel/tree_order.h"

#include <set>

#include "base/log.h"
#include "kernel/forks.h"
#include "kernel/imports.h"
#include "kernel/kernel.h"
#include "kernel/merge_bases.h"
#include "kernel/paths.h"
#include "kernel/stored_caller.h"
#include "kernel/tree_change.h"

namespace agentfs {
namespace {

std::string directory_of(const Kernel& kernel) { return kernel.parts().state + "/tree-orders"; }

std::string_view detail(const TreeChange& row, std::string_view name) {
  for (const auto& [key, value] : row.details) {
    if (key == name) return value.text();
  }
  return {};
}

// The name of the checkpoint that is there if it was done; "" for a fork.
std::string_view mark_of(const TreeChange& row) {
  return detail(row, row.operation == "rollback" ? "undo" : "name");
}

// After record `head`.
Result<bool> was_told(const Kernel& kernel, Sequence head, const TreeChange& row) {
  bool told = false;
  std::vector<std::string> damaged;
  const auto look = [&](const Record& record, std::string_view) {
    TreeChange one{.operation = row.operation, .path = json::bytes_of(record.data, "path")};
    if (const json::Object* const members = record.data.object()) one.details = *members;
    told = told || (record.kind == fmt::format("tree.{}", row.operation) && one.path == row.path &&
                    mark_of(one) == mark_of(row));
    return ok();
  };
  TRY(kernel.journal().replay_readable(head, look, damaged));
  return told;
}

std::vector<std::string> names_below(Forest& forest, const Result<TreeNodeRef>& root) {
  return root ? names_in(forest, **root).value_or(std::vector<std::string>())
              : std::vector<std::string>();
}

// Whether it was done; the row is whole then.
Result<bool> was_done(const Kernel& kernel, TreeChange& row) {
  const Forks forks = kernel.forks();
  Forest& forest = *TRY(forks.forest_of(row.path));
  if (row.operation == "fork" || row.operation == "import") {
    const auto base = forks.base_of(row.path);
    if (base && row.operation == "fork") row.details.emplace_back("state", shown(*base));
    return base.has_value();
  }
  const std::vector<SnapshotInfo> all = forks.checkpoints(row.path);
  const auto made = std::ranges::find(all, mark_of(row), &SnapshotInfo::label);
  if (made == all.end()) return false;
  if (row.operation == "checkpoint") {
    row.details.emplace_back("state", shown(made->id));
    return true;
  }
  if (!made->was_replaced) {
    // Killed before the roots changed places: what is there is what it would have undone.
    TRY(forest.drop(made->id));
    kernel.imports().drop_base(row.path, made->label);
    return false;
  }
  std::set<std::string> tops;
  const auto live = forest.lookup(*forest.root(), paths::name_of(row.path));
  const auto now = live ? Result<TreeNodeRef>(live->node) : std::unexpected(live.error());
  for (const auto& root : {forest.snapshot_root(made->id), now}) {
    for (std::string& top : names_below(forest, root)) tops.insert(std::move(top));
  }
  row.details.emplace_back("tops", json::Array(tops.begin(), tops.end()));
  return true;
}

// Of a tree that has the number, or of a checkpoint that has the name.
Status discard(const Kernel& kernel, const TreeChange& row, std::int64_t number) {
  Forest& forest = *TRY(kernel.forks().forest_of(row.path));
  const std::string_view name = mark_of(row);
  if (name.empty()) {
    const auto info = forest.info(paths::name_of(row.path));
    return info && info->number == number ? forest.drop(info->name) : ok();
  }
  const std::vector<SnapshotInfo> all = kernel.forks().checkpoints(row.path);
  const auto found = std::ranges::find(all, name, &SnapshotInfo::label);
  if (found == all.end()) return ok();
  TRY(forest.drop(found->id));
  kernel.imports().drop_base(row.path, std::string(name));
  return ok();
}

Status end_order(Kernel& kernel, std::string_view text) {
  const json::Value value = TRY(json::parse(text));
  TreeChange row{.operation = std::string(value["operation"].text()),
                 .path = json::bytes_of(value, "path"),
                 .other = json::bytes_of(value, "other")};
  if (const json::Object* const details = value["details"].object()) row.details = *details;
  const Sequence head{static_cast<std::uint64_t>(value["head"].number())};
  const bool is_told = TRY(was_told(kernel, head, row));
  if (row.operation == "discard") {
    return is_told ? discard(kernel, row, value["details"]["tree"].number()) : ok();
  }
  if (is_told || !TRY(was_done(kernel, row))) return ok();
  return kernel.record_change(StoredCaller::read(value).caller(kernel), row);
}

}  // namespace

StoredOrder begin_tree_order(const Kernel& kernel, const Caller& caller, const TreeChange& row) {
  json::Value value;
  value.set("operation", row.operation).set("head", kernel.journal().head().sequence.value);
  json::set_bytes(value, "path", row.path);
  json::set_bytes(value, "other", row.other);
  value.set("details", row.details);
  StoredCaller::of(caller).write(value);
  auto order = StoredOrder::note(directory_of(kernel), json::dump(value));
  if (order) return std::move(*order);
  log::warning("{}: a {} that a kill cuts short would not be told: {}", row.path, row.operation,
               order.error().message);
  return {};
}

void end_tree_orders(Kernel& kernel) {
  end_orders(directory_of(kernel), [&](const Result<std::string>& text) {
    const Status ended = text ? end_order(kernel, *text) : std::unexpected(text.error());
    if (!ended) log::warning("what was done with a tree is not told: {}", ended.error().message);
  });
}

}  // namespace agentfs
