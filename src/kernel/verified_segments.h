// SPDX-License-Identifier: MIT
// Which segments of the journal need not be read once more to verify its chain. Inside the kernel.
#pragma once

#include <sys/stat.h>

#include <map>
#include <optional>
#include <string>

#include "backends/log_store.h"
#include "base/mutex.h"
#include "kernel/journal.h"

namespace agentfs {

// Of segments that others have followed: where the chain stood before and behind each, when it was
// read and was whole, for as long as its file says that nobody has written to it since. What a disk
// loses by itself is found by who reads it: the next daemon, or fsck. Threads: all.
class VerifiedSegments {
 public:
  // To be asked before it is read. Nothing of a store without files.
  static std::optional<struct stat> state_of(const SegmentInfo& segment);

  // Where the chain is behind it, if it comes to it there.
  std::optional<JournalHead> behind(const SegmentInfo& segment, const JournalHead& before) const
      EXCLUDES(mutex_);
  void note(const SegmentInfo& segment, const struct stat& state, JournalHead before,
            JournalHead after) EXCLUDES(mutex_);

 private:
  struct Verified {
    struct stat state;
    JournalHead before;
    JournalHead after;
  };
  mutable Mutex<Rank::journal> mutex_;  // held with no other
  std::map<std::string, Verified, std::less<>> by_name_ GUARDED_BY(mutex_);
};

}  // namespace agentfs
