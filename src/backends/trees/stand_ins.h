// SPDX-License-Identifier: MIT
// Files that bear marks for what has no room for them among its own extended attributes: ext4 has
// one block for those of a file.
#pragma once

#include <atomic>
#include <memory>
#include <optional>

#include "backends/trees/marks.h"
#include "base/file.h"

namespace agentfs::trees {

constexpr char kStandIns[] = "apart";

// One file for each, in a directory of the same filesystem, so that its marks, which are attributes
// of that file, lie in the same journal as all others. It is named by number and time of making,
// since the disk gives numbers again, and holds the inode's handle, by which a start knows that it
// has gone. Where the disk tells no such time there are none. Threads: all that look; one that
// changes.
class StandIns {
 public:
  // `directory`: O_PATH.
  static Result<std::unique_ptr<StandIns>> open(UniqueFd directory);
  StandIns(UniqueFd directory, std::size_t count)
      : directory_(std::move(directory)), count_(count) {}

  std::size_t count() const { return count_; }
  // Where its stand-in is, if it has one; nothing where the inode cannot be told.
  std::optional<Spot> find(const Spot& spot) const;
  // Makes one where there is none. Nothing: it cannot be, errno says why.
  std::optional<Spot> ensure(const Spot& spot);
  // Removes a stand-in that bears no mark any more.
  void let_go(const Spot& stand_in);

 private:
  const UniqueFd directory_;
  std::atomic<std::size_t> count_;
};

}  // namespace agentfs::trees
