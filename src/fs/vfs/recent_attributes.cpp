// SPDX-License-Identifier: MIT
#include "fs/vfs/recent_attributes.h"

#include <algorithm>

namespace agentfs::vfs {
namespace {

constexpr double kSecond = 1e9;  // nanoseconds

}  // namespace

std::optional<Attributes> RecentAttributes::known(const Caller& caller, std::int64_t now) const {
  const Lock lock(mutex_);
  const bool is_known = known_ && now < known_->until && known_->process == caller.process &&
                        known_->uid == caller.host.uid;
  if (!is_known) return std::nullopt;
  Attributes answer = known_->answer;
  answer.validity -= static_cast<double>(now - known_->found) / kSecond;
  return answer;
}

Result<Attributes> RecentAttributes::of(const Caller& caller, const Clock& clock,
                                        const Find& find) {
  const std::int64_t begun = clock.steady();
  if (auto answer = known(caller, begun)) return *std::move(answer);
  Attributes answer = TRY(find());
  const std::int64_t took = clock.steady() - begun;
  if (took < kLong) return answer;
  const auto valid = static_cast<std::int64_t>(answer.validity * kSecond);
  const std::int64_t until = begun + std::min(valid, took * kTimes);
  const Lock lock(mutex_);
  known_ = {caller.process, caller.host.uid, begun, until, answer};
  return answer;
}

}  // namespace agentfs::vfs
