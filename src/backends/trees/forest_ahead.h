// SPDX-License-Identifier: MIT
// Copying whole files without the lock of the forest, which everybody else would wait for: those of
// large files that trees share, before a change gives one of them an inode of its own; and the
// bytes of lent files, into these.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <compare>
#include <condition_variable>
#include <map>
#include <optional>

#include "backends/trees/forest_nodes.h"
#include "base/file.h"
#include "base/mutex.h"

namespace agentfs::trees {

// Threads: all.
class AheadCopies {
 public:
  // An inode as a tree has shared it since its newest snapshot. Nobody writes to it as long as the
  // tree has neither prepared the file nor taken another snapshot: who has it, too, would give
  // itself another one first. Without a tree: a lent file, whichever tree asks for its bytes.
  struct Key {
    TreeRef tree{};
    std::uint64_t epoch = 0;
    ino_t inode = 0;
    auto operator<=>(const Key&) const = default;
  };
  static Key key_of(const ForestNode& file) {
    return {file.tree, file.tree->epoch.load(), file.disk->inode()};
  }

  struct Copy {
    UniqueFd file{};                   // a nameless one on the same disk
    std::uint64_t bytes = 0;           // that were copied; shared ones were not
    std::optional<struct stat> was{};  // of a lent file that is being filled, before that
  };
  // One at a time copies a file; what it made is there until its turn ends. Begun with no lock of
  // the forest held, for as long as another has the turn it waits.
  class Turn {
   public:
    Turn() = default;
    Turn(AheadCopies& all, Key key) : all_(&all), key_(std::move(key)) {}
    Turn(Turn&& other) noexcept
        : all_(std::exchange(other.all_, nullptr)), key_(std::move(other.key_)) {}
    Turn& operator=(Turn&&) = delete;
    ~Turn();
    const Key& key() const { return key_; }

   private:
    AheadCopies* all_ = nullptr;
    Key key_{};
  };
  Turn begin(const Key& key);
  void put(const Turn& turn, Copy copy);
  Copy take(const Key& key);  // no file where there is none
  // What is shown of a file that is being filled: writing to it is no change that anybody made.
  std::optional<struct stat> shown(ino_t lent) const;
  void set_times(ino_t lent, const struct stat& now);  // somebody has set them

 private:
  mutable Mutex<Rank::forest_nodes> mutex_;
  std::atomic<std::size_t> at_work_ = 0;
  std::condition_variable_any ended_;
  std::map<Key, Copy> copies_ GUARDED_BY(mutex_);
};

}  // namespace agentfs::trees
