// SPDX-License-Identifier: MIT
// What the forest writes beside files and directories of the disk, in extended attributes, so that
// it lies in the same journal of the filesystem as the links it tells of.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>

#include "backends/lender.h"
#include "backends/trees/node_table.h"

namespace agentfs::trees {

// A file named for the calls that take paths: by a descriptor of its own, or by its directory's.
struct Spot {
  std::string path;
  bool follow = false;  // the path is the magic link to the file itself
  int directory = -1;   // of a file named by it: it, and the name
  std::string name{};
  static Spot of(int fd) { return {fmt::format("/proc/self/fd/{}", fd), true}; }
  static Spot in(int directory, const std::string& name) {
    return {fmt::format("/proc/self/fd/{}/{}", directory, name), false, directory, name};
  }
};

// Which inode of the disk, which gives numbers again: by when it was made or, where the disk does
// not tell, by its handle (file::identity(), with no nanosecond); by its number alone without.
struct InodeKey {
  std::uint64_t inode = 0;
  std::int64_t made_seconds = 0;
  std::int64_t made_nanoseconds = 0;
  static std::optional<InodeKey> of(const Spot& spot);
  bool is_certain() const { return made_seconds != 0 || made_nanoseconds != 0; }
  friend bool operator==(const InodeKey&, const InodeKey&) = default;
};

// Which directory of the disk; its number alone where there are no handles.
struct DirectoryKey {
  ino_t inode = 0;
  FileHandle handle{};
  friend bool operator==(const DirectoryKey&, const DirectoryKey&) = default;
};
// By their handles where both have one.
bool is_same(const DirectoryKey& a, const DirectoryKey& b);

// "My entries are those that directory `key` of that line of trees had at that snapshot."
struct Source {
  std::uint32_t line = 0;
  std::uint64_t sequence = 0;
  DirectoryKey key{};
  friend bool operator==(const Source&, const Source&) = default;
};

// Of an inode: the number it is shown by where that is not its own, and while it is shared, when
// it was last changed and how many names it has in each tree.
struct FileMark {
  std::optional<ino_t> id{};
  std::optional<timespec> changed{};
  nlink_t names = 0;
  // Of a kept directory: the sum of the names that it was kept with. Beside the rest, since a mark
  // of its own would cost a block on ext4.
  std::optional<std::uint64_t> roll{};
  // The blocks of 512 bytes that the disk gave for the mark itself: they are no part of the file.
  blkcnt_t blocks = 0;
  // It is a directory with a mark of what it reads: where that is gone, it is lost.
  bool hollow = false;
  // The file itself cannot be asked: its number is the one that FileIds has.
  bool elsewhere = false;
};

// What a directory has: the sum of its names, and what a change that is under way adds to that.
struct RollMark {
  std::uint64_t sum = 0;
  std::uint64_t under_way = 0;
};

// The tree that a directory at the top is: its line, and the number its inodes are shown under.
struct TreeMark {
  std::uint32_t line = 0;
  std::uint32_t shown = 0;
  std::uint32_t turned = 0;  // all but directories since a rollback; 0: there was none
};

class MarkRows;
class StandIns;

// Each may be null.
struct BesideMarks {
  const Lender* lender = nullptr;  // keeps a mark of its own among these
  MarkRows* rows = nullptr;        // have the marks of files that may not be given any
  StandIns* stand_ins = nullptr;   // bear those for which a file has no room
};

// Threads: all that look; one that changes.
class Marks {
 public:
  // `trusted`: attributes only root sees, which every kind of file can bear.
  explicit Marks(bool trusted, const BesideMarks& beside = {})
      : prefix_(trusted ? "trusted.agentfs." : "user.agentfs.forest."),
        lender_(beside.lender),
        rows_(beside.rows),
        stand_ins_(beside.stand_ins) {}

  // Of what has no mark: an empty mark.
  FileMark file(const Spot& spot) const;
  // What the file cannot bear (links and fifos without root, files that their owner may not read
  // or write) is a row. Where that cannot be written nothing is said: the file's time of change is
  // then the disk's.
  void set_file(const Spot& spot, const FileMark& mark) const;
  // Nothing: a solid one. EBADMSG for a mark that cannot be read or is lost, which must not pass
  // for solid. `known`: what file() says of it, where that was asked.
  Result<std::optional<Source>> hollow(const Spot& directory,
                                       const FileMark* known = nullptr) const;
  Status set_hollow(const Spot& directory, const Source& source) const;
  // And what the file's mark says of it, before that.
  Status remove_hollow(const Spot& directory) const;
  // The same for a file that has no mark yet; false: it has one.
  bool add_file(const Spot& spot, const FileMark& mark) const;
  // Nothing: a plain directory. EBADMSG as for hollow().
  Result<std::optional<TreeMark>> tree(const Spot& directory) const;
  Status set_tree(const Spot& directory, const TreeMark& mark) const;

  // Nothing: none, or none that can be read.
  std::optional<RollMark> roll(const Spot& directory) const;
  Status set_roll(const Spot& directory, const RollMark& mark) const;

  // Moves what it bears itself to a stand-in, so that somebody else's attributes have the room;
  // false: there was nothing to move, or nowhere to. The mark of a tree stays.
  bool make_room(const Spot& spot) const;

  // Takes every mark off what is no part of a forest any more.
  void remove_all(const Spot& spot) const;

  bool lends(int file) const { return lender_ != nullptr && lender_->lends(file); }
  std::optional<bool> lends_one(int file, int other) const {
    return lender_ != nullptr ? lender_->lends_one(file, other) : std::nullopt;
  }
  const Lender* lender() const { return lender_; }
  bool is_ours(std::string_view attribute) const { return attribute.starts_with(prefix_); }

 private:
  static constexpr char kHollow[] = "hollow";

  // By the file itself or its stand-in; the calls answer an errno or 0.
  std::optional<std::string> get(const Spot& spot, const char* name) const;
  int set(const Spot& spot, const char* name, const std::string& value, int flags = 0) const;
  int remove(const Spot& spot, const char* name) const;
  // By the file itself.
  std::optional<std::string> get_own(const Spot& spot, const char* name) const;
  int set_own(const Spot& spot, const char* name, const std::string& value, int flags = 0) const;
  int remove_own(const Spot& spot, const char* name) const;
  // By its stand-in.
  std::optional<std::string> get_apart(const Spot& spot, const char* name) const;
  int set_apart(const Spot& spot, const char* name, const std::string& value) const;
  void remove_apart(const Spot& spot, const char* name) const;
  FileMark borne(const Spot& spot) const;  // by no row
  Result<std::optional<Source>> find_hollow(const Spot& directory) const;
  int forget_hollow(const Spot& directory) const;  // what the file's mark says of it
  // The error for which it can only be told by a row from now on.
  int bear(const Spot& spot, const FileMark& mark, int flags = 0) const;
  int set_measured(const Spot& spot, FileMark mark, int flags) const;

  const std::string prefix_;
  const Lender* const lender_;
  MarkRows* const rows_;
  StandIns* const stand_ins_;
};

std::string to_text(const DirectoryKey& key);
std::optional<DirectoryKey> key_from(std::string_view inode, std::string_view type,
                                     std::string_view handle);

}  // namespace agentfs::trees
