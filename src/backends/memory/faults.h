// SPDX-License-Identifier: MIT
// Stores that fail when a test wants them to, around any other store.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backends/log_store.h"
#include "backends/record_store.h"
#include "base/mutex.h"

namespace agentfs {

enum class LogCall : unsigned { append, sync, roll, read, kCount };
enum class RecordCall : unsigned { reached, apply, load, check, clear, kCount };

// Which calls of a store fail; shared by the store's decorator and the test. Threads: all.
template <class Call>
class FaultPlan {
 public:
  // From now on the `nth` call (1: the next one) and the `times` - 1 after it fail with `code`.
  void fail_call(Call call, int code, std::size_t nth = 1, std::size_t times = 1) EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    State& state = state_of(call);
    state.first = state.calls + nth;
    state.end = state.first + times;
    state.code = code;
  }

  // Calls so far, failed ones included.
  std::size_t calls(Call call) const EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    return states_[static_cast<std::size_t>(call)].calls;
  }

  // For the decorator: counts a call, and gives its error where it is to fail.
  Status enter(Call call) EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    State& state = state_of(call);
    ++state.calls;
    if (state.calls < state.first || state.calls >= state.end) return ok();
    return fail(state.code, "store: {} (call {}, as the test wants it)", errno_name(state.code),
                state.calls);
  }

 private:
  struct State {
    std::size_t calls = 0;
    std::size_t first = 0;
    std::size_t end = 0;
    int code = 0;
  };
  State& state_of(Call call) REQUIRES(mutex_) { return states_[static_cast<std::size_t>(call)]; }

  mutable Mutex<Rank::log> mutex_;
  std::array<State, static_cast<std::size_t>(Call::kCount)> states_ GUARDED_BY(mutex_){};
};

using LogFaults = FaultPlan<LogCall>;
using RecordFaults = FaultPlan<RecordCall>;

// A log that fails by plan (a failed call does nothing to the log) and knows what a loss of power
// would leave of it. Threads: as LogStore; what is in the log before is taken as synced.
class FaultLogStore final : public LogStore {
 public:
  FaultLogStore(std::shared_ptr<LogStore> inner, std::shared_ptr<LogFaults> faults);

  Status append(std::string_view lines) override;
  Status sync() override;
  Status roll(std::uint64_t first_sequence) override;
  std::vector<SegmentInfo> segments() const override { return inner_->segments(); }
  Result<std::string> read(std::string_view segment, std::uint64_t offset,
                           std::uint64_t limit) const override;

  // The log, in memory, that is found when the power is back: everything synced and, of the last
  // segment's unsynced bytes, the lines that lie wholly within the first `kept`.
  Result<std::unique_ptr<LogStore>> after_power_loss(std::uint64_t kept = 0) const;

 private:
  using Sizes = std::map<std::string, std::uint64_t>;
  void note_synced(const std::vector<SegmentInfo>& segments);

  const std::shared_ptr<LogStore> inner_;
  const std::shared_ptr<LogFaults> faults_;
  mutable Mutex<Rank::log> mutex_;
  Sizes synced_ GUARDED_BY(mutex_);  // bytes by segment; one that is not here would be lost
};

// A store that fails by plan; a failed call does nothing to it. Threads: as RecordStore.
class FaultRecordStore final : public RecordStore {
 public:
  FaultRecordStore(std::shared_ptr<RecordStore> inner, std::shared_ptr<RecordFaults> faults)
      : inner_(std::move(inner)), faults_(std::move(faults)) {}

  Result<Sequence> reached() override;
  Status apply(Sequence reached, std::span<const ObjectChange> changes) override;
  Status load(const Visitor& visitor) override;
  Status check() override;
  Status clear() override;

 private:
  const std::shared_ptr<RecordStore> inner_;
  const std::shared_ptr<RecordFaults> faults_;
};

}  // namespace agentfs
