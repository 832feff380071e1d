// SPDX-License-Identifier: MIT
#include "kernel/verified_segments.h"

#include "base/copy.h"

namespace agentfs {

std::optional<struct stat> VerifiedSegments::state_of(const SegmentInfo& segment) {
  struct stat now{};
  if (segment.host_path.empty() || ::stat(segment.host_path.c_str(), &now) != 0) return {};
  return now;
}

std::optional<JournalHead> VerifiedSegments::behind(const SegmentInfo& segment,
                                                    const JournalHead& before) const {
  const auto state = state_of(segment);
  const Lock lock(mutex_);
  const auto found = by_name_.find(segment.name);
  if (!state || found == by_name_.end()) return {};
  const Verified& verified = found->second;
  if (!is_as_it_was(verified.state, *state) || verified.before != before) return {};
  return verified.after;
}

void VerifiedSegments::note(const SegmentInfo& segment, const struct stat& state,
                            JournalHead before, JournalHead after) {
  const Lock lock(mutex_);
  by_name_.insert_or_assign(segment.name, Verified{state, std::move(before), std::move(after)});
}

}  // namespace agentfs
