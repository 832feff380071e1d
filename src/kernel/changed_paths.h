// SPDX-License-Identifier: MIT
// Which paths of a workspace have changed, and who changed them last.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/ids.h"

namespace agentfs {

// The last change of a path, and the process that made it (0 in stores of before it was kept).
struct PathEdit {
  Sequence sequence{};
  ProcessId author{};
};

// A value that belongs to the fold. Paths are those below the workspace; "": any may have changed,
// from the point of view of checkpoints. At most `most` are told one by one, the newest, of no more
// than `most_bytes` together; an older one is told by its directory at the top of the workspace,
// whose change is not older than its own: whoever asks for what has changed since some record finds
// the path or that directory. What lies at the top itself is always told. A change costs the same
// however many there are, and what all() says is the whole state.
class ChangedPaths {
 public:
  static constexpr std::size_t kMostPaths = 20'000;
  static constexpr std::size_t kMostBytes = std::size_t{8} << 20;

  explicit ChangedPaths(std::size_t most = kMostPaths, std::size_t most_bytes = kMostBytes)
      : most_(most), most_bytes_(most_bytes) {}
  ChangedPaths(ChangedPaths&&) = default;
  ChangedPaths& operator=(ChangedPaths&&) = default;

  // Gives the paths that are told by their directories from now on.
  std::vector<std::string> note(const std::string& path, const PathEdit& edit);
  using Edits = std::unordered_map<std::string, PathEdit>;
  const Edits& all() const { return all_; }
  // Those that have changed after a record, by path; costs as much as they are many.
  std::vector<std::pair<std::string, PathEdit>> since(Sequence record) const;

  // "a/b/c.txt" -> "a"; what lies at the top stays itself.
  static std::string top_of(const std::string& path) { return path.substr(0, path.find('/')); }

 private:
  // Oldest first; the names are keys of the map.
  using ByAge = std::set<std::pair<Sequence, std::string_view>>;
  ByAge& ages_of(std::string_view path) { return path.contains('/') ? below_ : tops_; }
  void set(const std::string& path, const PathEdit& edit);
  std::string give_up_oldest();

  std::size_t most_;
  std::size_t most_bytes_;
  std::size_t bytes_ = 0;  // of the paths below the top
  Edits all_;
  ByAge tops_;
  ByAge below_;
};

}  // namespace agentfs
