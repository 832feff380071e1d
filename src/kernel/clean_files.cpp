// SPDX-License-Identifier: MIT
#include "kernel/clean_files.h"

#include "base/text.h"

namespace agentfs {
namespace {

bool is_same_time(const timespec& indexed, const timespec& now) {
  return indexed.tv_sec == static_cast<std::uint32_t>(now.tv_sec) && indexed.tv_nsec == now.tv_nsec;
}

bool is_same(const IndexEntry& indexed, const struct stat& now) {
  const auto cut = [](auto number) { return static_cast<std::uint32_t>(number); };
  const bool may_run = S_ISREG(now.st_mode) && (now.st_mode & S_IXUSR) != 0;
  return (indexed.mode & S_IFMT) == (now.st_mode & S_IFMT) &&
         ((indexed.mode & S_IXUSR) != 0) == may_run && indexed.size == cut(now.st_size) &&
         indexed.inode == cut(now.st_ino) && indexed.uid == now.st_uid &&
         indexed.gid == now.st_gid && is_same_time(indexed.modified, now.st_mtim) &&
         is_same_time(indexed.changed, now.st_ctim);
}

KnownFile::Kind kind_of(const IndexEntry& entry) {
  if (S_ISLNK(entry.mode)) return KnownFile::Kind::link;
  return (entry.mode & S_IXUSR) != 0 ? KnownFile::Kind::executable : KnownFile::Kind::file;
}

}  // namespace

CleanFiles CleanFiles::of(TreeStore& store, const TreeNode& root) {
  auto index = index_of(store, root);
  if (!index || !*index) return {};
  CleanFiles files;
  files.index_ = *std::move(*index);
  // git writes a size of 0 where it could not tell whether a file has changed.
  const auto is_told = [&](const IndexEntry& entry) {
    return (S_ISREG(entry.mode) || S_ISLNK(entry.mode)) && !entry.is_staged && !entry.is_intended &&
           entry.size != 0 && entry.modified.tv_sec < files.index_.modified.tv_sec;
  };
  const Status read = read_index(files.index_.bytes, [&](const IndexEntry& entry) {
    if (!is_told(entry)) return;
    IndexEntry& kept = files.entries_[std::string(entry.path)];
    kept = entry;
    kept.path = {};
  });
  return read ? std::move(files) : CleanFiles();
}

std::optional<KnownFile> CleanFiles::find(const std::string& path, const struct stat& now) const {
  const auto found = entries_.find(path);
  if (found == entries_.end() || !is_same(found->second, now)) return std::nullopt;
  return KnownFile{.kind = kind_of(found->second),
                   .id = text::hex(found->second.id),
                   .size = static_cast<std::uint64_t>(now.st_size),
                   .path = path};
}

}  // namespace agentfs
