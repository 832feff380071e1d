// SPDX-License-Identifier: MIT
// What processes of the host want to hold before they publish a path: user.agentfs.if-gen.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/mutex.h"
#include "kernel/write_guard.h"

namespace agentfs {

// Threads: all. Conditions are of a process (its thread group) and a path, each used once, the
// one of the thread that publishes or else the oldest: a thread pool may set and publish by
// different ones. A thread has its last alone. They go with the thread that set them. Of two that
// want to publish on the same generation the first has it, until it has published, failed or ended;
// who has cut the file to nothing has it until it is written. These are threads, too, of one
// process.
class Conditions {
 public:
  static constexpr std::size_t kMost = 4'096;
  struct Wanted {
    std::uint64_t generation = 0;
    pid_t thread = 0;
  };
  using Look = std::function<std::uint64_t()>;  // the generation that the path has now

  bool any() const { return count_.load(std::memory_order_relaxed) != 0; }
  bool any_claim() const { return claim_count_.load(std::memory_order_relaxed) != 0; }
  bool awaits(const HostCaller& host, const std::string& path) const EXCLUDES(mutex_);
  // ESTALE, EAGAIN where processes that live have kMost already, and ENOTSUP where the host does
  // not say that the thread lives: what is not known to live has no condition.
  Status set(const HostCaller& host, const std::string& path, const Wanted& wanted,
             const Look& look) EXCLUDES(mutex_);
  // None: there was no condition. ESTALE where it does not hold.
  Result<ClaimNumber> meet(const HostCaller& host, const std::string& path, const Publishing& how,
                           const Look& look) EXCLUDES(mutex_);
  void release(ClaimNumber claim) EXCLUDES(mutex_);
  void end(ClaimNumber claim) EXCLUDES(mutex_);
  // A directory has another name, with `exchanged` the other one its.
  void follow(const std::string& path, const std::string& to, bool exchanged) EXCLUDES(mutex_);
  // A file has: who has cut it goes on writing it. Of the one whose name it took nothing is left.
  void follow_file(const std::string& path, const std::string& to, bool exchanged) EXCLUDES(mutex_);
  // The file has gone, or all that was below the path: of who has cut one nothing is left.
  void forget(const std::string& path) EXCLUDES(mutex_);

 private:
  struct Owner {
    pid_t pid = 0;
    std::uint64_t started = 0;  // a number of a process is given again
    pid_t thread = 0;
    friend bool operator==(const Owner&, const Owner&) = default;
  };
  struct Condition {
    std::uint64_t generation = 0;
    pid_t thread = 0;
    std::uint64_t started = 0;  // the thread
    std::string failure{};      // that it is answered with when it is asked again
  };
  struct Claim {
    std::string path{};  // now
    Owner owner{};
    Condition met{};
    bool goes_on = false;
  };
  using Key = std::pair<pid_t, std::string>;
  using Claims = std::map<std::uint64_t, Claim>;  // by their numbers
  static constexpr std::size_t kMostOfOne = 1'024;
  static std::uint64_t start_of(pid_t pid);  // or thread; 0: it has ended
  static bool lives(const Owner& owner) { return start_of(owner.pid) == owner.started; }
  static bool lives(const Condition& condition) {
    return condition.started != 0 && start_of(condition.thread) == condition.started;
  }
  // The thread's own, or else the oldest of one that lives.
  std::optional<Condition> take(const Key& key, pid_t thread) REQUIRES(mutex_);
  // Of another; null: there is none.
  const Claim* claim_on(const std::string& path, std::uint64_t generation, const Owner& by) const
      REQUIRES(mutex_);
  std::string why_not(const std::string& path, const Condition& condition, const Owner& owner,
                      const Look& look) const REQUIRES(mutex_);
  void drop_dead() REQUIRES(mutex_);
  ClaimNumber add(Claim claim) REQUIRES(mutex_);
  void drop(Claims::iterator claim) REQUIRES(mutex_);
  void forget_path(Claims::iterator claim) REQUIRES(mutex_);
  std::vector<Claims::iterator> going_on(const std::string& path) REQUIRES(mutex_);
  void move(Claims::iterator claim, const std::string& to) REQUIRES(mutex_);

  mutable Mutex<Rank::kernel> mutex_;  // held over a look at the kernel's state
  std::map<Key, std::deque<Condition>> all_ GUARDED_BY(mutex_);  // none empty
  Claims claims_ GUARDED_BY(mutex_);
  std::multimap<std::string, std::uint64_t> claimed_ GUARDED_BY(mutex_);  // their numbers, by path
  std::uint64_t last_ GUARDED_BY(mutex_) = 0;                             // number of a claim
  // Claims at which is looked who has ended: where many live, not at each further one.
  std::size_t most_claims_ GUARDED_BY(mutex_) = kMost;
  std::size_t until_look_ GUARDED_BY(mutex_) = 256;  // at who has ended
  std::atomic<std::size_t> count_ = 0;
  std::atomic<std::size_t> claim_count_ = 0;
};

}  // namespace agentfs
