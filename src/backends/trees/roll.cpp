// SPDX-License-Identifier: MIT
#include "backends/trees/roll.h"

#include "base/hash.h"

namespace agentfs::trees {

std::uint64_t count_of(std::string_view name) { return fnv1a(name); }

void Roll::read(int directory, std::uint64_t there) {
  directory_ = directory;
  there_ = there;
  const auto told = marks_.roll(Spot::of(directory));
  is_told_ = told.has_value();
  is_settled_ = !told || told->under_way == 0;
  if (!told || told->sum == there || (told->sum ^ told->under_way) == there) return;
  amiss_ = told->sum ^ told->under_way ^ there;
  amiss_other_ = told->sum ^ there;
}

Status Roll::write(std::uint64_t under_way) const {
  return marks_.set_roll(Spot::of(directory_), {there_ ^ amiss_, under_way});
}

Status Roll::begin(std::uint64_t change) {
  under_way_ = 0;
  const Status told = write(change);
  // On a full disk an older line goes on without one: what it removes gives room.
  if (!told && is_told_) return told;
  is_told_ = is_told_ || told;
  is_settled_ = false;
  under_way_ = change;
  return ok();
}

void Roll::end() {
  there_ ^= under_way_;
  under_way_ = 0;
}

// Where it cannot be written the last record is missed only if another follows it.
void Roll::settle() {
  if (is_told_ && !is_settled_) is_settled_ = write(0).has_value();
}

Status Roll::accept() {
  amiss_ = 0;
  return write(0);
}

}  // namespace agentfs::trees
