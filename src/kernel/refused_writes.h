// SPDX-License-Identifier: MIT
// What agents were not let write: kept until somebody says which counts. /sys/conflicts.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/merge.h"
#include "kernel/caller.h"
#include "kernel/refusal.h"

namespace agentfs {

class Kernel;

// A part of its kernel: rows are the fold's, bytes lie in STATE/conflicts/<number>/{base,theirs}.
// What is older than /etc/history.toml keeps old contents, or more than a tenth of what they may
// hold, or than kMost, goes, oldest first. Threads: all.
class RefusedWrites {
 public:
  static constexpr std::size_t kMost = 1'000;
  struct Attempt {
    std::string path{};
    std::string reason{};
    std::string theirs{};  // what was refused
    std::optional<std::string> base{};
  };

  explicit RefusedWrites(Kernel& kernel) : kernel_(kernel) {}

  // The number that it has; the same for what is kept already. ENOSPC, EIO.
  Result<std::uint64_t> keep(const Caller& caller, const Attempt& attempt);
  std::vector<RefusalRef> all(const Caller& caller) const;  // that this caller may see
  Result<RefusalRef> get(const Caller& caller, std::uint64_t number) const;  // ENOENT, EACCES

  ProcessId process_of(std::uint64_t number) const;  // that was refused; 0 where there is none

  // --- the sides; "" where there is none
  // What is there now, where the caller may read it: by now it may be anybody's. EACCES.
  Result<std::string> ours(const Caller& caller, const Refusal& refusal) const;
  // The same for the daemon's own judgement, which tells nobody.
  Result<std::string> there(const std::string& path) const;
  Result<std::string> base(const Refusal& refusal) const;
  Result<std::string> theirs(const Refusal& refusal) const;
  // Both changes in one text, with markers where they touch the same lines. ENOENT without a base.
  Result<TreeMerger::TextMerge> merged(const Caller& caller, const Refusal& refusal) const;

  // Ends it: `side` is ours, theirs or merged. EBUSY: merged has markers.
  Result<std::string> take(const Caller& caller, const Refusal& refusal, const std::string& side);
  Result<std::string> drop(const Caller& caller, const Refusal& refusal);  // EPERM for agents
  Status empty();   // forgets what has been kept long enough
  Status settle();  // at a start: rows and files may differ by what a crash cut short

 private:
  std::string directory_of(std::uint64_t number) const;
  Status end(const Caller& caller, std::uint64_t number, std::string_view how);
  std::vector<RefusalRef> rows() const;
  Result<bool> sees(const Caller& caller, const Refusal& one) const;  // EACCES

  Kernel& kernel_;
  std::atomic<std::uint64_t> last_ = 0;  // number given
};

}  // namespace agentfs
