// SPDX-License-Identifier: MIT
// What is known of old contents: the versions of each path, and what is in the trash.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "backends/past_store.h"
#include "base/json.h"
#include "kernel/record.h"
#include "kernel/tree_change.h"

namespace agentfs {

// Something of a data tree as it was before a change. Immutable.
struct FileVersion {
  // Only a `file` has bytes in the past store; a `name` was one of several of its file.
  enum class Type { file, empty, link, directory, name, fifo, socket };

  std::uint64_t number = 0;  // never given twice in one state
  std::string path{};        // of the mount: "/workspaces/site/main.c"
  std::string kept_as{};     // the one it had in the past store, where a directory was moved since
  std::uint64_t file = 0;    // of one whose name went: file::identity(), or 0
  Type type = Type::file;
  std::uint64_t size = 0;
  std::uint64_t held = 0;  // bytes of the disk: without holes, in whole blocks
  mode_t mode = 0;         // permission bits
  uid_t uid = 0;
  gid_t gid = 0;
  std::int64_t modified = 0;  // mtime, wall clock, nanoseconds
  std::int64_t named = 0;     // when what was removed had got its name; 0: it is not known
  std::string target{};       // of a link
  Xattrs xattrs{};            // of what has no bytes in the past store
  std::int64_t time = 0;      // of the change that replaced it
  // That change: "remove", "rename", "truncate", "write", "recovered"; of what the daemon had lying
  // ready for an operation that ended half-way, and is nobody's file:
  static constexpr std::string_view kLeftover = "leftover";
  std::string cause{};
  std::string author{};       // its lineage: "7<1<root (bash)"
  std::int64_t host_pid = 0;  // of who did it; 0: not known
  bool in_trash = false;      // was removed, and nothing has its name since
  bool forgotten = false;  // by its path, which shows it no more; kept for its file's other names

  PastName stored() const { return {number, kept_as.empty() ? path : kept_as}; }
};
using FileVersionRef = std::shared_ptr<const FileVersion>;

// How much versions are.
struct HistoryAmount {
  std::uint64_t bytes = 0;   // of the disk that the past store holds
  std::uint64_t files = 0;   // of the disk
  std::uint64_t memory = 0;  // bytes of the daemon's, about

  static HistoryAmount of(const FileVersion& version);
  HistoryAmount& operator+=(const HistoryAmount& other);
  HistoryAmount& operator-=(const HistoryAmount& other);
  bool fits(const HistoryAmount& most) const {
    return bytes <= most.bytes && files <= most.files && memory <= most.memory;
  }
};

std::string_view name(FileVersion::Type type);
// "7<1<root (sed)": who did it, as the log of a workspace shows it.
std::string lineage(const Author& author);
json::Value to_json(const FileVersion& version);
FileVersion version_from_json(const json::Value& value);
// Of a record whose data has a member `kept` with a number; null for others. `named`: as in it.
FileVersionRef version_of(const Record& record, std::int64_t named = 0);
// The same of a member `former`: the old name of a file that became a backup of what has it next.
FileVersionRef former_of(const Record& record);

// A value that belongs to the fold. Paths are ordered as bytes, so what lies below a directory is
// one range: a look at one costs the same however much there is elsewhere.
class History {
 public:
  struct Child {
    std::string name;
    bool has_children = false;  // there are versions of what lies below it
  };
  using ByNumber = std::map<std::uint64_t, FileVersionRef>;

  History() = default;
  History(History&&) = default;
  History& operator=(History&&) = default;

  void add(const FileVersionRef& version);
  void erase(std::uint64_t number);
  // Something has this name now: the number of the version that leaves the trash, or 0.
  std::uint64_t appear(const std::string& path);
  // A directory was renamed, and what is known of what lies below it goes along: the numbers of
  // those that have changed. `exchange`: the two have changed places.
  // `goes`: whether one does, by its path before; none: all.
  using Goes = std::function<bool(const FileVersion&)>;
  std::vector<std::uint64_t> move(const std::string& from, const std::string& to, bool exchange,
                                  const Goes& goes = {});

  const ByNumber& all() const { return by_number_; }
  FileVersionRef find(std::uint64_t number) const;
  // The version itself; of a `name` what its file held when the last of its names went. Null while
  // it has one, and where nothing was kept.
  FileVersionRef whole(const FileVersionRef& version) const;
  // The other way round: the names that come back as this content, but for itself.
  std::vector<FileVersionRef> names_of(const FileVersion& content) const;
  std::vector<FileVersionRef> versions(const std::string& path) const;  // oldest first
  std::vector<FileVersionRef> versions_below(const std::string& directory) const;
  FileVersionRef trashed(const std::string& path) const;
  // The path itself and what lies below it, directories before what is in them.
  std::vector<FileVersionRef> trashed_at_or_below(const std::string& path) const;
  // Names in a directory of which there are versions, or trash.
  std::vector<Child> children(const std::string& directory) const;
  std::vector<Child> trash_children(const std::string& directory) const;
  bool has(const std::string& path) const {  // versions
    return by_path_.contains(std::string_view(path));
  }
  bool has_below(const std::string& directory) const;
  bool has_trash_below(const std::string& directory) const;

  const HistoryAmount& amount() const { return amount_; }
  std::uint64_t last() const { return last_; }  // the greatest number ever seen
  void set_last(std::uint64_t last) { last_ = std::max(last_, last); }

 private:
  // The versions of one path by number. A path is in its version alone.
  struct ByPath {
    using is_transparent = void;
    bool operator()(const FileVersionRef& one, const FileVersionRef& other) const {
      const int order = one->path.compare(other->path);
      return order != 0 ? order < 0 : one->number < other->number;
    }
    bool operator()(const FileVersionRef& one, std::string_view path) const {
      return one->path < path;
    }
    bool operator()(std::string_view path, const FileVersionRef& one) const {
      return path < one->path;
    }
  };
  using Ordered = std::set<FileVersionRef, ByPath>;
  static std::vector<Child> children_in(const Ordered& versions, const std::string& directory);
  static bool has_prefix(const Ordered& versions, const std::string& prefix);
  static std::vector<FileVersionRef> starting_with(const Ordered& versions,
                                                   const std::string& prefix);
  void put_in_trash(const FileVersionRef& version);
  void take_from_trash(const FileVersionRef& version);

  Ordered by_path_;
  Ordered trash_;                                                 // one of a path
  std::unordered_map<std::string_view, FileVersionRef> trashed_;  // the same: most are not there
  ByNumber by_number_;
  // Of a file that had several names: the versions that are names, and those that are contents.
  struct Shared {
    std::set<std::uint64_t> names;
    std::set<std::uint64_t> contents;
  };
  std::vector<FileVersion> take_below(const std::string& from, const std::string& to,
                                      const Goes& goes);
  void share(const FileVersion& version);
  void unshare(const FileVersion& version);
  std::map<std::uint64_t, Shared> shared_;  // by identity
  HistoryAmount amount_;
  std::uint64_t last_ = 0;
};

}  // namespace agentfs
