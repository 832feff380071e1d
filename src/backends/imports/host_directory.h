// SPDX-License-Identifier: MIT
// A directory of the host, reached without following a link out of it.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "backends/compare.h"
#include "base/error.h"
#include "base/file.h"
#include "base/xattrs.h"

namespace agentfs::imports {

// The magic number of the disk that an open file is on; 0: not to be had.
std::uint32_t kind_of_disk(int file);

// Threads: all. Paths are relative; "" is the directory itself. No link is followed, in no part of
// a path: a directory that was replaced by a link is not what was recorded (ELOOP).
class HostDirectory {
 public:
  static Result<HostDirectory> open(const std::string& path);  // absolute

  const std::string& path() const { return path_; }
  std::string shown(const std::string& path) const;  // for messages
  Result<UniqueFd> open(const std::string& path, int flags) const;
  // A state that does not exist where there is nothing, or nothing an import records.
  Result<FileState> look(const std::string& path) const;
  Result<std::string> read_link(const std::string& path) const;
  Result<Xattrs> xattrs(const std::string& path) const;  // those that are brought
  // The directory above, O_PATH, and the last name.
  struct Place {
    UniqueFd directory{};
    std::string name{};
  };
  Result<Place> place(const std::string& path) const;

  // Everything below `top`, by path. EACCES with the path of what cannot be read. `whole`: .git
  // directories, too.
  Result<std::map<std::string, FileState>> walk(bool whole, const std::string& top = {}) const;

  // The paths directly in a directory, and whether commits leave each there: what no import
  // records, and .git.
  Result<std::map<std::string, bool>> list(const std::string& directory) const;

 private:
  struct Item {
    int directory = -1;
    std::string name{};
    std::string path{};
    FileState state{};
    bool is_left_out = false;  // of every import
  };
  using Each = std::function<Status(const Item& item)>;
  Status for_each(const std::string& directory, const Each& each) const;
  HostDirectory(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  Status walk_one(const std::string& directory, bool whole, std::map<std::string, FileState>& found,
                  std::vector<std::string>& below) const;

  std::string path_;
  UniqueFd fd_;  // O_PATH
};

// Of a directory .git or below one: its changes are git's.
bool is_in_git(std::string_view path);
// Of those, what git never changes once it is there.
bool is_git_object(std::string_view path);

// What a file of it takes, in blocks of 512 bytes, where it has holes; nothing where it has none.
// One whose disk has not given it its blocks yet has data all the same: its blocks alone do not
// tell.
std::optional<std::int64_t> blocks_between_holes(const HostDirectory& host, const std::string& path,
                                                 const struct stat& file);

}  // namespace agentfs::imports
