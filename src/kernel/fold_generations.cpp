// SPDX-License-Identifier: MIT
// What tree.* changes in the generations of paths, and conflict.*: what agents were refused.
#include <algorithm>
#include <array>

#include "base/text.h"
#include "kernel/fold_rows.h"

namespace agentfs::fold {
namespace {

// Those after which a name that was there holds something else. An open that may write changes
// nothing yet; modes and attributes are not what a name holds.
bool changes_content(std::string_view operation) {
  static constexpr auto kOperations =
      std::to_array<std::string_view>({"fork", "replaced", "rollback", "truncate", "write"});
  return std::ranges::find(kOperations, operation) != kOperations.end();
}

void apply_rename(Generations& all, const Record& record, const std::string& path,
                  const Generation& by) {
  const std::string other = json::bytes_of(record.data, "other");
  if (!has_generation(path) || !has_generation(other)) return;
  if (record.data["exchange"].truth()) {
    all.exchange(path, other, by);
  } else {
    all.move(path, other, by);
  }
}

void apply_keep(Fold& fold, const Record& record) {
  Refusal refusal = refusal_from_json(record.data);
  refusal.path = json::bytes_of(record.data, "path");
  refusal.process = record.author.lineage.empty() ? ProcessId{} : record.author.lineage.front();
  refusal.author = lineage(record.author);
  refusal.time = record.time;
  fold.add_refusal(std::make_shared<const Refusal>(std::move(refusal)));
}

void apply_end(Fold& fold, const Record& record) {
  fold.erase_refusal(static_cast<std::uint64_t>(record.data["number"].number()));
}

Status check_number(const Fold&, json::Value& data) {
  if (data["number"].number() > 0) return ok();
  return fail(EINVAL, "conflict: no number of one");
}

constexpr std::array kRows = {
    Row{kind::kConflictKeep, check_number, apply_keep},
    Row{kind::kConflictEnd, check_number, apply_end},
};

}  // namespace

void note_generations(Fold& fold, const Record& record) {
  const std::string_view operation = std::string_view(record.kind).substr(kind::kTreePrefix.size());
  const bool renames = operation == "rename";
  const bool removes =
      operation == "remove" || (operation == "discard" && record.data["name"].text().empty());
  const bool names = renames || makes_a_name(record.kind);
  const bool is_unsure = operation == "interrupted" && record.data["generation"].truth();
  if (!names && !removes && !is_unsure && !changes_content(operation)) return;
  const std::string path = json::bytes_of(record.data, "path");
  if (!has_generation(path)) return;
  Generations& all = fold.edit_generations();
  const auto& pids = record.author.lineage;
  const Generation by{
      .number = record.sequence,
      .time = record.time,
      .named = names ? record.time : 0,
      .writer = all.writer(pids.empty() ? ProcessId{} : pids.front(), lineage(record.author))};
  if (renames) {
    apply_rename(all, record, path, by);
  } else if (removes) {
    all.remove(path, by);
  } else {
    all.change(path, by);
    const std::string other = is_unsure ? json::bytes_of(record.data, "other") : std::string();
    if (has_generation(other)) all.change(other, by);
  }
}

std::span<const Row> conflict_rows() { return kRows; }

}  // namespace agentfs::fold

namespace agentfs {

json::Value to_json(const Refusal& refusal) {
  json::Value value;
  value.set("number", refusal.number);
  json::set_bytes(value, "path", refusal.path);
  value.set("process", refusal.process.value).set("author", refusal.author);
  value.set("reason", refusal.reason).set("digest", refusal.digest).set("time", refusal.time);
  value.set("bytes", refusal.bytes).set("has_base", refusal.has_base);
  return value;
}

Refusal refusal_from_json(const json::Value& value) {
  Refusal refusal;
  refusal.number = static_cast<std::uint64_t>(value["number"].number());
  refusal.path = json::bytes_of(value, "path");
  refusal.process = {static_cast<std::uint64_t>(value["process"].number())};
  refusal.author = value["author"].text();
  refusal.reason = value["reason"].text();
  refusal.digest = value["digest"].text();
  refusal.time = value["time"].number();
  refusal.bytes = static_cast<std::uint64_t>(value["bytes"].number());
  refusal.has_base = value["has_base"].truth();
  return refusal;
}

}  // namespace agentfs
