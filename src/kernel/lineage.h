// SPDX-License-Identifier: MIT
// What rollbacks leave of the states of a tree.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"

namespace agentfs {

// Which of the states of a tree led to what it is, or was at a state: a rollback begins anew from
// the one that it goes back to. File <tree>.rollbacks: for each the state that undoes it and the
// one that it went to, with a check.
class Lineage {
 public:
  static constexpr std::uint64_t kNow = std::numeric_limits<std::uint64_t>::max();
  static std::string name(std::uint32_t tree);
  static std::string file(const std::string& directory, std::uint32_t tree);
  static Result<Lineage> read(const std::string& file);  // EBADMSG: damaged
  std::string text() const;
  void add(std::uint64_t undo, std::uint64_t to);
  // Of rollbacks from before this state nobody is going to ask.
  void forget_before(std::uint64_t state);

  // Whether a rollback began at it.
  bool was_left(std::uint64_t state) const;
  // Whether the state is one of those that led to what the tree was at `end`.
  bool has_state(std::uint64_t state, std::uint64_t end = kNow) const;
  // The same of what happened after the state and before the next.
  bool has_after(std::uint64_t state, std::uint64_t end = kNow) const;

 private:
  // Twice the number of a state, or one more: after it.
  bool has(std::uint64_t point, std::uint64_t end) const;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> rollbacks_{};  // undo, to; in order
};

}  // namespace agentfs
