// SPDX-License-Identifier: MIT
// Names that a session made beside synthetic files: the temporary files of editors and tools.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/mutex.h"

namespace agentfs::vfs {

class ScratchNode;
using ScratchRef = std::shared_ptr<ScratchNode>;

// Seen by the session that made them only. Threads: all; nodes are never freed under the lock.
class ScratchTable {
 public:
  static constexpr std::size_t kOfOneSession = 64;
  static constexpr std::size_t kOfAll = 256;  // of 1 MiB at the most: sessions cost nothing to make

  struct Place {
    std::string session;
    std::string directory;  // its path
    std::string name;
    friend auto operator<=>(const Place&, const Place&) = default;
  };

  // EDQUOT: the session has 64 already, or all together have 256; EEXIST: there is one of that
  // name.
  Status add(const Place& place, ScratchRef node);
  ScratchRef find(const Place& place);
  ScratchRef take(const Place& place);  // null where there is none
  std::vector<std::pair<std::string, ScratchRef>> list(const std::string& session,
                                                       const std::string& directory);
  // Removes `node` where it still has that name: its time has passed.
  void expire(const Place& place, const ScratchNode* node);
  void clear();

 private:
  Mutex<Rank::queue> mutex_;
  std::map<Place, ScratchRef> nodes_ GUARDED_BY(mutex_);
  std::unordered_map<std::string, std::size_t> counts_ GUARDED_BY(mutex_);  // by session
};

}  // namespace agentfs::vfs
