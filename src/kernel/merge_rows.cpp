// SPDX-License-Identifier: MIT
#include "kernel/merge_rows.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <unordered_set>

#include "backends/forest.h"
#include "base/permissions.h"
#include "base/text.h"
#include "kernel/journal.h"
#include "kernel/paths.h"

namespace agentfs {
namespace {

using Kind = MergeAction::Kind;

// When a row is told. Names become free before they are taken.
enum class Turn : char {
  remove,
  rename,
  make_directory,
  rename_into,  // such a directory
  remove_directory,
  write,
  attributes,
};

bool moves(const MergeAction& action) {
  const bool may_move = action.kind == Kind::move || action.kind == Kind::write;
  return may_move && !action.ours_path.empty() && action.ours_path != action.path;
}

class Rows {
 public:
  Rows(const std::string& root, const MergePlan& plan);
  void add(const MergeAction& action);
  json::Array all() &&;

 private:
  void add_move(const MergeAction& action);
  bool is_below_made(std::string path) const;
  json::Value& tell(Turn turn, std::string_view operation, const std::string& path);

  const std::string& root_;
  std::unordered_set<std::string> made_;     // directories
  std::unordered_set<std::string> emptied_;  // directories that go
  std::array<json::Array, static_cast<std::size_t>(Turn::attributes) + 1> turns_;
};

Rows::Rows(const std::string& root, const MergePlan& plan) : root_(root) {
  for (const MergeAction& action : plan.actions) {
    if (action.kind == Kind::make_directory) made_.insert(action.path);
    if (action.kind == Kind::remove_directory) emptied_.insert(action.path);
  }
}

json::Value& Rows::tell(Turn turn, std::string_view operation, const std::string& path) {
  json::Value row;
  row.set("op", operation).set("path_hex", text::hex(fmt::format("{}/{}", root_, path)));
  json::Array& rows = turns_[static_cast<std::size_t>(turn)];
  rows.push_back(std::move(row));
  return rows.back();
}

bool Rows::is_below_made(std::string path) const {
  for (auto slash = path.rfind('/'); slash != std::string::npos; slash = path.rfind('/')) {
    path.resize(slash);
    if (made_.contains(path)) return true;
  }
  return false;
}

void Rows::add(const MergeAction& action) {
  switch (action.kind) {
    case Kind::move:
      return add_move(action);
    case Kind::write:
      if (moves(action)) return add_move(action);
      tell(Turn::write, action.ours.exists() ? "write" : "create", action.path);
      return;
    case Kind::set_mode:
      tell(Turn::attributes, "attributes", action.path);
      return;
    case Kind::remove:
      tell(Turn::remove, "remove", action.path);
      return;
    case Kind::make_directory:
      tell(Turn::make_directory, "mkdir", action.path);
      return;
    case Kind::remove_directory:
      tell(Turn::remove_directory, "remove", action.path).set("directory", true);
  }
}

void Rows::add_move(const MergeAction& action) {
  const bool goes_into = is_below_made(action.path);
  const bool takes_turns =
      emptied_.contains(action.path) || (goes_into && made_.contains(action.ours_path));
  if (takes_turns) {
    tell(Turn::remove, "remove", action.ours_path);
    tell(Turn::write, "create", action.path);
    return;
  }
  json::Value& row = tell(goes_into ? Turn::rename_into : Turn::rename, "rename", action.ours_path);
  row.set("other_hex", text::hex(fmt::format("{}/{}", root_, action.path)));
  if (action.ours.is_directory()) row.set("directory", true);
  const bool is_dressed = action.ours.type() != S_IFLNK &&
                          (action.mode & kPermissions) != (action.ours.mode & kPermissions);
  if (action.kind == Kind::write) {
    tell(Turn::write, "write", action.path);
  } else if (is_dressed) {
    tell(Turn::attributes, "attributes", action.path);
  }
}

json::Array Rows::all() && {
  json::Array rows;
  for (json::Array& turn : turns_) std::ranges::move(turn, std::back_inserter(rows));
  return rows;
}

void add_events(const TreeChange& row, bool is_directory, std::vector<TreeEvent>& events) {
  using Event = TreeEvent::Kind;
  const mode_t type = is_directory ? S_IFDIR : S_IFREG;
  if (row.operation == "remove" || row.operation == "rename") {
    events.push_back({Event::removed, row.path, type});
    if (!row.other.empty()) events.push_back({Event::made, row.other, 0});
    return;
  }
  const Event kind = row.operation == "attributes" ? Event::attributes
                     : row.operation == "write"    ? Event::written
                                                   : Event::made;
  events.push_back({kind, row.path, 0});
}

}  // namespace

json::Array merge_rows(const std::string& root, const MergePlan& plan) {
  Rows rows(root, plan);
  for (const MergeAction& action : plan.actions) rows.add(action);
  return std::move(rows).all();
}

TreeChange change_of(const json::Value& row) {
  return {.operation = std::string(row["op"].text()),
          .path = text::unhex(row["path_hex"].text()).value_or(std::string()),
          .other = text::unhex(row["other_hex"].text()).value_or(std::string())};
}

bool is_rebase(std::string_view from) { return paths::name_of(from).starts_with(kHiddenTree); }

TreeChange whole_row(const std::string& root, const std::string& from, std::size_t changes) {
  if (!is_rebase(from)) return {.operation = "merge", .path = root, .other = from};
  return {.operation = "rebase", .path = root, .details = {{"paths", changes}}};
}

TreeChange merge_row(const json::Value& row, const std::string& from) {
  TreeChange change = change_of(row);
  change.details = {{"merge", from}};
  const bool takes_along = change.operation == "rename" && row["directory"].truth();
  if (takes_along) change.details.emplace_back("directory", true);
  return change;
}

std::optional<TreeChange> merge_row(const json::Array& rows, const std::string& from,
                                    std::string_view path) {
  const auto found = std::ranges::find_if(
      rows, [&](const json::Value& row) { return change_of(row).path == path; });
  return found == rows.end() ? std::nullopt : std::optional(merge_row(*found, from));
}

Result<std::size_t> merge_rows_told(const Journal& journal, Sequence head, std::string_view root,
                                    std::string_view from) {
  if (!head) return 0;  // of an earlier build
  return journal.count(head, [&](const Record& record) {
    const std::string path = json::bytes_of(record.data, "path");
    if (record.kind == "tree.rebase") return path == root;
    if (record.kind == "tree.merge") {
      return path == root && json::bytes_of(record.data, "other") == from;
    }
    return json::bytes_of(record.data, "merge") == from && text::is_in(path, root);
  });
}

std::vector<TreeEvent> events_of(const json::Array& rows) {
  std::vector<TreeEvent> events;
  for (const json::Value& row : rows) add_events(change_of(row), row["directory"].truth(), events);
  return events;
}

std::vector<TreeEvent> as_undone(std::vector<TreeEvent> events) {
  for (TreeEvent& event : events) event = {TreeEvent::Kind::returned, std::move(event.path), 0};
  return events;
}

}  // namespace agentfs
