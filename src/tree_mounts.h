// SPDX-License-Identifier: MIT
// The data trees of a mount as mounts of their own: a session that serves them alone, bound over
// their places in the session that has the rest. For root.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace agentfs {

inline constexpr auto kTreePaths =
    std::to_array<std::string_view>({"/home", "/src/repos", "/tmp", "/workspaces"});

// A copy of the mount and of those in it, at no place: who looks through it holds none of them, so
// that they can be unmounted meanwhile. EPERM without the rights.
Result<UniqueFd> copy_mounts(const std::string& mountpoint);

bool has_trees_mounted(const std::string& mountpoint);
// Binds the trees of the mount at `from` over those of the mount at `onto`. All, or none.
Status bind_trees(const std::string& from, const std::string& onto);

// What is mounted over the trees of a mount, each by a number that no other mount ever gets: no
// other's are taken away in their place. Threads: one at a time.
class TreeMounts {
 public:
  TreeMounts() = default;
  static TreeMounts of(const std::string& mountpoint);
  // Takes away, lazily, what of them is still there. Asks no daemon where there is nothing.
  void detach();

 private:
  std::string mountpoint_;
  std::vector<std::pair<std::string, std::uint64_t>> all_;
};

// Takes the mounts over the trees away, so that the mount below them can be; what is not given up
// by keep_away() comes back at the end. It is nothing where no trees are bound.
class TreesTakenAway {
 public:
  TreesTakenAway() = default;
  TreesTakenAway(TreesTakenAway&&) = default;
  TreesTakenAway& operator=(TreesTakenAway&&) = delete;
  ~TreesTakenAway();
  // EBUSY where one of them is in use: then all are where they were.
  static Result<TreesTakenAway> of(const std::string& mountpoint);
  void keep_away() { taken_.clear(); }

 private:
  struct Taken {
    std::string path;
    UniqueFd tree;  // a mount at no place
  };
  std::vector<Taken> taken_;
};

}  // namespace agentfs
