// SPDX-License-Identifier: MIT
// Which inodes of the disk stand for the number of another one.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/file.h"
#include "base/mutex.h"

namespace agentfs::trees {

// The marks on the files are the truth; this is for listings, which cannot ask each file, and to
// know which numbers a new file must not be given. An append-only file of pairs. Threads: all.
class FileIds {
 public:
  static Result<std::unique_ptr<FileIds>> open(int directory);
  explicit FileIds(UniqueFd file) : file_(std::move(file)) {}

  ino_t id_of(ino_t inode) const;
  // `inode`, which was made of `from`, has the id `id` from now on, and is shown as `from` is.
  void lend(ino_t inode, ino_t id, ino_t from);
  // For an inode that was just made: 0, or the id for its mark, since its own number is in use.
  ino_t number_for_new(ino_t inode);
  // The same where inodes have no marks: one whose number is in use is shown by another beside it.
  void take_plain(ino_t inode);
  // By what an inode of that id is shown.
  ino_t shown(ino_t inode, ino_t id) const;

 private:
  struct Row {
    std::uint64_t inode = 0;
    std::uint64_t id = 0;
  };
  static constexpr std::uint64_t kBeside = std::uint64_t{1} << 63U;  // in a row: beside its id
  Status read();
  void forget(ino_t inode) REQUIRES(mutex_);
  void put(const Row& row) REQUIRES(mutex_);
  void keep(const Row& row) REQUIRES(mutex_);  // on the disk, too

  const UniqueFd file_;
  mutable Mutex<Rank::forest_nodes> mutex_;
  std::unordered_map<ino_t, ino_t> ids_ GUARDED_BY(mutex_);
  std::unordered_multimap<ino_t, ino_t> holders_ GUARDED_BY(mutex_);  // of an id: inodes
  std::unordered_map<ino_t, ino_t> beside_ GUARDED_BY(mutex_);        // by inode
  ino_t next_ GUARDED_BY(mutex_) = 0;
  std::optional<off_t> cut_at_ GUARDED_BY(mutex_);  // behind it there is half a pair
};

}  // namespace agentfs::trees
