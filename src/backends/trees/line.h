// SPDX-License-Identifier: MIT
// The line of states of one tree: its snapshots and the directories kept for them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "backends/forest.h"
#include "backends/trees/marks.h"
#include "backends/trees/roll.h"
#include "backends/trees/saved_directories.h"
#include "base/mutex.h"

namespace agentfs::trees {

// A directory of the hidden room, flat, whose entries are the records. Each is made by one call of
// the disk, so none can be half there:
//   snap.<sequence>, hidden.<sequence>   links to "<shown> <time> <key of the root> <label>"
//   past.<inode>.<sequence>.<handle>     what that directory was up to that snapshot
//   source.<line>.<sequence>             a state of some line that this tree may read
//   sources.<n>                          several: a link to "<line>.<sequence> <line>.…"
//   retired.<sequence>                   a root that was live until that snapshot
//   dropped.0                            its tree was taken away on purpose
//   leaving.0                            a directory with the root, under the name it has, of a
//                                        tree that is about to be dropped
//   moving.<inode>                       the new inode of a hard-linked file whose names are moving
//   new.<n>                              under construction; removed at a start
//
// Which there are is told by the roll beside them, but for those that come and go by themselves.
//
// Owned by the store; all under its lock, alone where something changes.
class Line {
 public:
  struct Snapshot {
    SnapshotInfo info{};
    std::uint32_t shown = 0;  // the number its inodes are shown under
    DirectoryKey root{};
  };

  // `lines` is the directory of all lines. ensure() makes the line's where there is none.
  // `look_only`: what was under construction stays. The marks outlive it.
  static Result<std::shared_ptr<Line>> load(int lines, std::uint32_t number, const Marks& marks,
                                            bool look_only = false);
  static Result<std::shared_ptr<Line>> ensure(int lines, std::uint32_t number, const Marks& marks);
  Line(std::uint32_t number, UniqueFd directory, const Marks& marks)
      : number_(number), directory_(std::move(directory)), roll_(marks) {}

  std::uint32_t number() const { return number_; }
  int directory() const { return directory_.get(); }
  std::string fresh_name() { return fmt::format("new.{}", next_new_++); }

  const std::map<std::uint64_t, Snapshot>& snapshots() const { return snapshots_; }
  const Snapshot* find(std::uint64_t sequence) const;
  std::uint64_t newest() const { return snapshots_.empty() ? 0 : snapshots_.rbegin()->first; }
  // The info's id is filled in.
  Result<SnapshotId> add(Snapshot snapshot);
  // From now on it is hidden; remove() takes away one that is, but never the newest: numbers
  // are not used twice.
  Status hide(std::uint64_t sequence);
  Status remove(std::uint64_t sequence);

  const std::set<SnapshotId>& sources() const { return sources_; }
  // Those that are new; few records, each made at once.
  Status add_sources(const std::set<SnapshotId>& added);
  Status remove_sources();
  Status remove_sources_but(const std::set<SnapshotId>& kept);
  // Its tree was taken away, or was about to be where that is there still.
  bool was_dropped() const { return dropped_; }
  Status note_dropped();
  // The root is in the room while that is told, and gets its place at the `top` again or not. The
  // room may be the spare directory of `spares`.
  Status leave(int top, const std::string& name, int spares);
  Status come_back(int top);
  Status end_leaving();  // the root has gone from there
  const std::optional<std::string>& leaving() const { return leaving_; }  // the name it had
  Result<UniqueFd> leaving_room() const;
  // The state that the tree was forked at, as long as the tree is there.
  const std::optional<SnapshotId>& base() const { return base_; }
  Status set_base(SnapshotId base);  // once

  const SavedDirectories& saved() const { return saved_; }
  // Renames what was built under `fresh` to be what the directory was up to the newest snapshot.
  Status keep(const DirectoryKey& directory, const std::string& fresh);
  // Of saved directories and retired roots, those that none of the states in `wanted` reads.
  std::vector<std::string> unread(const std::set<std::uint64_t>& wanted) const;
  // One of unread() is removed by `remove`.
  Status forget(const std::string& entry, const std::function<Status()>& remove);

  const std::set<std::uint64_t>& retired() const { return retired_; }
  static std::string retired_name(std::uint64_t sequence);
  // `move` makes a root that record.
  Status retire(std::uint64_t sequence, const std::function<Status()>& move);
  // A root that was made for a rollback which a crash kept from happening.
  Status remove_retired(std::uint64_t sequence);
  const std::vector<ino_t>& moving() const { return moving_; }  // as found at the start

  // Directories that no state is going to read: made since the newest, as far as this process
  // knows.
  bool was_made(const DirectoryKey& directory) const;
  void made(const DirectoryKey& directory) { made(SavedDirectory::of(directory)); }
  // The number is another directory's by now, of which states read.
  void not_made(ino_t directory);

  Roll& roll() { return roll_; }
  const Roll& roll() const { return roll_; }

  bool touched = true;  // something may have changed since the newest snapshot
  // Moves when a hollow directory is made here, or one moves that may have such in it; and its
  // value when all were last looked at for what they read.
  std::uint64_t shifts = 1;
  std::uint64_t looked_at = 0;

 private:
  void made(const SavedDirectory& directory);
  // What changes names of records that count so much.
  Status change(std::uint64_t names, const std::function<Status()>& make);
  Status make_record(const std::string& name, const std::string& target = "-");
  Status remove_record(const std::string& name);
  std::string name_for(const std::set<SnapshotId>& told) const;  // a record of these sources
  // The record is there, and tells those instead.
  Status change_sources(const std::string& name, const std::set<SnapshotId>& told);
  Status read(bool look_only);
  Status read_entry(const std::string& name, bool look_only);
  Status read_leaving();
  Status read_snapshot(const std::string& name, std::uint64_t sequence, bool hidden);

  const std::uint32_t number_;
  const UniqueFd directory_;  // O_PATH
  Roll roll_;
  std::uint64_t next_new_ = 1;
  std::map<std::uint64_t, Snapshot> snapshots_;
  std::set<SnapshotId> sources_;
  std::map<std::string, std::set<SnapshotId>> source_records_;  // which of them each tells
  std::optional<SnapshotId> base_;
  bool dropped_ = false;
  std::optional<std::string> leaving_;
  SavedDirectories saved_;
  std::set<std::uint64_t> retired_;
  std::vector<ino_t> moving_;
  mutable Mutex<Rank::forest_nodes> mutex_;
  std::set<SavedDirectory> made_ GUARDED_BY(mutex_);
};

}  // namespace agentfs::trees
