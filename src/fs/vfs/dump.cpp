// SPDX-License-Identifier: MIT
// The tables as JSON: what documents and completions are made from.
#include <deque>

#include "base/permissions.h"
#include "fs/vfs/file_system.h"
#include "fs/vfs/readme.h"

namespace agentfs::vfs {
namespace {

struct Pending {
  std::string path;
  const DirectoryType* type;
};

json::Value describe(const VerbInfo& verb) {
  return json::Object{{"word", verb.word}, {"syntax", verb.syntax}, {"doc", verb.doc}};
}

json::Value describe(const RowInfo& row) {
  json::Array verbs;
  for (const VerbInfo& verb : row.verbs) verbs.push_back(describe(verb));
  return json::Object{{"name", row.name},
                      {"kind", name(row.kind)},
                      {"mode", fmt::format("{:04o}", row.mode & kPermissions)},
                      {"private", row.is_private},
                      {"listed", row.listed},
                      {"doc", row.doc},
                      {"usage", row.usage},
                      {"verbs", std::move(verbs)}};
}

// The path of what is below a row: of a plainly named collection, that of its objects.
std::string path_below(const std::string& directory, const RowInfo& row) {
  const std::string path = child_path(directory, row.name);
  // Of a data tree: the table of the directories that each workspace or home has.
  if (row.kind == Kind::data) return child_path(path, row.child->placeholder());
  const bool named = row.kind == Kind::collection && !row.name.starts_with('<');
  return named ? child_path(path, row.child->placeholder()) : path;
}

}  // namespace

json::Value FileSystem::dump(const DirectoryType& root) {
  json::Array directories;
  std::deque<Pending> pending{{"/", &root}};
  for (; !pending.empty(); pending.pop_front()) {
    const Pending directory = pending.front();
    json::Array files;
    for (const RowInfo& row : directory.type->rows()) {
      files.push_back(describe(row));
      if (row.child == nullptr) continue;
      // Two data trees of one table: told of once.
      if (row.kind == Kind::data) {
        std::erase_if(pending, [&](const Pending& other) { return other.type == row.child; });
      }
      pending.push_back({path_below(directory.path, row), row.child});
    }
    directories.push_back(json::Object{
        {"path", directory.path}, {"doc", directory.type->doc()}, {"files", std::move(files)}});
  }
  return json::Object{{"version", AGENTFS_VERSION}, {"directories", std::move(directories)}};
}

}  // namespace agentfs::vfs
