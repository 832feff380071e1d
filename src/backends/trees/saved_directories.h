// SPDX-License-Identifier: MIT
// Which directories a line keeps as they were, and up to which of its snapshots.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "backends/trees/marks.h"

namespace agentfs::trees {

// Which directory it is: the disk gives its number again, never its handle.
struct SavedDirectory {
  ino_t inode = 0;
  std::uint32_t handle = 0;  // a sum of it; 0: there is none, or an earlier build saved it
  static SavedDirectory of(const DirectoryKey& key);
  friend auto operator<=>(const SavedDirectory&, const SavedDirectory&) = default;
};

// One of its records: what it was up to that snapshot.
struct SavedState {
  SavedDirectory directory{};
  std::uint64_t sequence = 0;
  std::string name() const;  // past.<inode>.<sequence>[.<handle>]
  static std::optional<SavedState> parse(std::string_view name);
};

// Where one of two handles is not known, the number says which directory it is. Threads: as of the
// line that has it.
class SavedDirectories {
 public:
  void add(const SavedState& state) { states_[state.directory].insert(state.sequence); }
  void remove(const SavedState& state);
  // What the directory was at the first state at or after `sequence` that it was saved for;
  // nothing: the live directory has not changed since.
  std::optional<SavedState> find(const DirectoryKey& directory, std::uint64_t sequence) const;
  bool has(const DirectoryKey& directory, std::uint64_t sequence) const;
  bool has_number(ino_t directory) const;  // of it, or of another one of that number
  const std::map<SavedDirectory, std::set<std::uint64_t>>& all() const { return states_; }

 private:
  std::map<SavedDirectory, std::set<std::uint64_t>> states_;
};

}  // namespace agentfs::trees
