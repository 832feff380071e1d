// SPDX-License-Identifier: MIT
// history.* and what tree.* keeps: the versions of files.
#include <algorithm>
#include <array>

#include "base/text.h"
#include "kernel/fold_rows.h"

namespace agentfs::fold {
namespace {

bool makes_a_name(std::string_view kind) {
  static constexpr auto kKinds = std::to_array<std::string_view>(
      {"tree.create", "tree.mkdir", "tree.link", "tree.symlink", "tree.mknod"});
  return std::ranges::find(kKinds, kind) != kKinds.end();
}

void apply_recovered(Fold& fold, const Record& record) { note_history(fold, record); }

void apply_drop(Fold& fold, const Record& record) {
  const json::Array* versions = record.data["versions"].array();
  if (versions == nullptr) return;
  for (const json::Value& number : *versions) {
    fold.erase_version(static_cast<std::uint64_t>(number.number()));
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

}  // namespace

void note_history(Fold& fold, const Record& record) {
  const bool renames = record.kind == "tree.rename";
  if (renames || makes_a_name(record.kind)) {
    fold.name_appears(json::bytes_of(record.data, renames ? "other" : "path"));
  }
  const FileVersionRef version = version_of(record);
  if (version == nullptr) return;
  if (version->in_trash) fold.name_appears(version->path);  // one removed twice is there once
  fold.add_version(version);
}

std::span<const Row> history_rows() { return kRows; }

}  // namespace agentfs::fold
