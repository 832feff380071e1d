// SPDX-License-Identifier: MIT
// history.* and what tree.* keeps: the versions of files.
#include <algorithm>
#include <array>

#include "base/text.h"
#include "kernel/fold_rows.h"

namespace agentfs::fold {
namespace {

void apply_recovered(Fold& fold, const Record& record) { note_history(fold, record); }

std::vector<std::uint64_t> numbers_of(const json::Value& list) {
  std::vector<std::uint64_t> numbers;
  if (const json::Array* all = list.array()) {
    for (const json::Value& each : *all)
      numbers.push_back(static_cast<std::uint64_t>(each.number()));
  }
  return numbers;
}

void apply_drop(Fold& fold, const Record& record) {
  for (const std::uint64_t each : numbers_of(record.data["versions"])) fold.erase_version(each);
  for (const std::uint64_t each : numbers_of(record.data["for_others"])) {
    const FileVersionRef version = fold.history().find(each);
    if (version == nullptr) continue;
    FileVersion forgotten = *version;
    forgotten.in_trash = false;
    forgotten.forgotten = true;
    fold.add_version(std::make_shared<const FileVersion>(std::move(forgotten)));
  }
}

Status check_recovered(const Fold&, json::Value& data) {
  if (data["path"].text().starts_with('/') && data["kept"]["number"].number() > 0) return ok();
  return fail(EINVAL, "history.recovered: no path and number of what was kept");
}

Status check_drop(const Fold&, json::Value& data) {
  if (data["versions"].array() != nullptr) return ok();
  return fail(EINVAL, "history.drop: no list of versions");
}

constexpr std::array kRows = {
    Row{kind::kHistoryDrop, check_drop, apply_drop},
    Row{kind::kHistoryRecovered, check_recovered, apply_recovered},
};

// What was another's of that path before stays with the path, for whoever it was of to have again.
History::Goes goes_along(const json::Value& data) {
  const json::Value& own = data["own"];
  if (own.is_null()) return {};
  const std::string from = json::bytes_of(data, "path") + "/";
  const auto uid = static_cast<uid_t>(own["uid"].number());
  const auto since = static_cast<std::uint64_t>(own["since"].number());
  const auto other_since = static_cast<std::uint64_t>(own["other_since"].number());
  return [=](const FileVersion& version) {
    const bool is_from = version.path.starts_with(from);
    return version.uid == uid || version.number > (is_from ? since : other_since);
  };
}

// What a directory that was there for a while had driven out of the trash.
void put_back(Fold& fold, const Record& record) {
  const auto number = static_cast<std::uint64_t>(record.data["taken_back"].number());
  const FileVersionRef version = number == 0 ? nullptr : fold.history().find(number);
  if (version == nullptr || version->path != json::bytes_of(record.data, "path")) return;
  FileVersion again = *version;
  again.in_trash = true;
  fold.add_version(std::make_shared<const FileVersion>(std::move(again)));
}

}  // namespace

bool makes_a_name(std::string_view kind) {
  static constexpr auto kKinds = std::to_array<std::string_view>(
      {"tree.create", "tree.mkdir", "tree.link", "tree.symlink", "tree.mknod"});
  return std::ranges::find(kKinds, kind) != kKinds.end();
}

// Before the removal is one of its generations.
void note_history(Fold& fold, const Record& record) {
  const bool renames = record.kind == "tree.rename";
  if (renames && record.data["directory"].truth()) {
    fold.move_versions(json::bytes_of(record.data, "path"), json::bytes_of(record.data, "other"),
                       record.data["exchange"].truth(), goes_along(record.data));
  }
  const bool is_there = record.kind == "tree.interrupted" && record.data["there"].truth();
  if (renames || is_there || makes_a_name(record.kind)) {
    const bool is_new_name = renames || (is_there && record.data["of"].text() == "rename");
    fold.name_appears(json::bytes_of(record.data, is_new_name ? "other" : "path"));
  }
  if (!record.data["taken_back"].is_null()) put_back(fold, record);
  // Before what the backup replaces, whose number is greater.
  if (const FileVersionRef former = former_of(record)) fold.add_version(former);
  if (record.data["kept"].is_null()) return;  // as of most
  const std::int64_t named = fold.generations().named(json::bytes_of(record.data, "path"));
  const FileVersionRef version = version_of(record, named);
  if (version == nullptr) return;
  if (version->in_trash) fold.name_appears(version->path);  // one removed twice is there once
  fold.add_version(version);
}

std::span<const Row> history_rows() { return kRows; }

}  // namespace agentfs::fold
