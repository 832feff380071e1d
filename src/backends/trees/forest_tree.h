// SPDX-License-Identifier: MIT
// A tree of a forest, as what is in it knows it.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "backends/trees/line.h"

namespace agentfs::trees {

// A tree as nodes know it; the directory of all trees is one too. Changed under the store's lock,
// alone.
struct Tree {
  // 0: never forked and no fork. Moves when a snapshot is taken; a node that has not been prepared
  // since must be, before it changes.
  std::atomic<std::uint64_t> epoch = 0;
  std::shared_ptr<Line> line{};  // null while the epoch is 0
  std::uint32_t shown = 0;       // above the inode numbers; 0: they are the disk's
  std::uint32_t turned = 0;      // the same of all but directories since a rollback; 0: as `shown`
  int refusal = 0;               // what changing is answered: EROFS of a snapshot, ESTALE
  std::string label{};           // of a snapshot, as sentences name it; never changed

  // Of a file: what has one open over a rollback is to see that its name leads to another now.
  ino_t number_of(mode_t type, ino_t id) const {
    const ino_t above = type == S_IFDIR || turned == 0 ? shown : turned;
    return above == 0 ? id : (above << 32U) | (id & 0xFFFFFFFFU);
  }
};
using TreeRef = std::shared_ptr<Tree>;

}  // namespace agentfs::trees
