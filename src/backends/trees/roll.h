// SPDX-License-Identifier: MIT
// What a directory of records holds, told beside it, so that a record that is gone is missed.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "backends/trees/marks.h"

namespace agentfs::trees {

// The sum of names is the exclusive or of what each counts for: order does not matter, and a name
// that goes is taken away as it was added.
std::uint64_t count_of(std::string_view name);

// The roll of one line's directory: its sum, and what the change that is under way adds to it or
// takes from it. It is written ahead of each change, so after a crash one of the two sums holds.
// What is amiss at the start stays amiss, until fsck takes what is there for all there is.
//
// Owned by the line; under its store's lock, alone where something changes. `marks` outlives it.
class Roll {
 public:
  explicit Roll(const Marks& marks) : marks_(marks) {}

  // `there`: the sum of the names that were found in the directory, an O_PATH descriptor. Where
  // there is no roll (of an earlier build, or lost with all marks) one begins with the next change.
  void read(int directory, std::uint64_t there);
  // Ahead of a change of names that count so much; without end() after it, it was not made. An
  // error where it cannot be written: nothing is to change then.
  Status begin(std::uint64_t change);
  void end();
  // No change is under way: what is there now is told alone. At the start, and at the end.
  void settle();
  // What the names that are gone, and those that nobody made, count for; 0: none. The second, where
  // the last change was not made, as after a crash.
  std::array<std::uint64_t, 2> amiss() const { return {amiss_, amiss_ == 0 ? 0 : amiss_other_}; }
  Status accept();

 private:
  Status write(std::uint64_t under_way) const;

  const Marks& marks_;
  int directory_ = -1;  // the line's
  bool is_told_ = false;
  bool is_settled_ = true;
  std::uint64_t there_ = 0;
  std::uint64_t under_way_ = 0;
  std::uint64_t amiss_ = 0;
  std::uint64_t amiss_other_ = 0;
};

}  // namespace agentfs::trees
