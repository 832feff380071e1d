// SPDX-License-Identifier: MIT
// A mutex that knows its place in the lock order. Clang checks that what it guards is touched only
// under it; debug builds check at run time that locks are taken outermost first.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <shared_mutex>

#if defined(__clang__)
#define AGENTFS_TSA(x) __attribute__((x))
#else
#define AGENTFS_TSA(x)
#endif
#define GUARDED_BY(m) AGENTFS_TSA(guarded_by(m))
#define REQUIRES(...) AGENTFS_TSA(requires_capability(__VA_ARGS__))
#define EXCLUDES(...) AGENTFS_TSA(locks_excluded(__VA_ARGS__))

namespace agentfs {

// Outermost first: a thread that holds a lock may take only locks of a greater rank.
enum class Rank : int {
  document = 5,  // one document is compared and saved at a time
  node_table = 10,
  handle = 20,
  bytes = 25,  // of a file: they change by many, and are linked into the past by one
  kernel = 30,
  object = 40,
  journal = 50,
  forest = 54,  // every operation on data trees, shared; what rearranges the disk, alone
  forest_nodes = 57,
  store = 60,
  driver = 70,
  queue = 80,
  log = 90,
};

namespace detail {
#if defined(AGENTFS_CHECK_LOCK_RANKS)
void rank_taken(Rank rank);  // aborts when a lock of this rank or a greater one is held
void rank_released(Rank rank);
#else
inline void rank_taken(Rank) {}
inline void rank_released(Rank) {}
#endif
}  // namespace detail

template <Rank R>
class AGENTFS_TSA(capability("mutex")) Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() AGENTFS_TSA(acquire_capability()) {
    detail::rank_taken(R);
    mutex_.lock();
  }
  void unlock() AGENTFS_TSA(release_capability()) {
    mutex_.unlock();
    detail::rank_released(R);
  }

 private:
  std::mutex mutex_;
};

// Holds a Mutex for a scope; a std::condition_variable_any can wait on it.
template <Rank R>
class AGENTFS_TSA(scoped_lockable) Lock {
 public:
  explicit Lock(Mutex<R>& mutex) AGENTFS_TSA(acquire_capability(mutex)) : mutex_(mutex) {
    mutex_.lock();
  }
  ~Lock() AGENTFS_TSA(release_capability()) {
    if (held_) mutex_.unlock();
  }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  void lock() AGENTFS_TSA(acquire_capability()) {
    mutex_.lock();
    held_ = true;
  }
  void unlock() AGENTFS_TSA(release_capability()) {
    mutex_.unlock();
    held_ = false;
  }

 private:
  Mutex<R>& mutex_;
  bool held_ = true;
};

// Held by many or by one, whom a stream of the many does not keep waiting. For std::unique_lock and
// std::shared_lock.
template <Rank R>
class SharedMutex {
 public:
  SharedMutex() = default;
  SharedMutex(const SharedMutex&) = delete;
  SharedMutex& operator=(const SharedMutex&) = delete;

  void lock() {
    detail::rank_taken(R);
    const std::lock_guard turn(turn_);
    waiting_ = true;
    mutex_.lock();
    waiting_ = false;
  }
  void unlock() {
    mutex_.unlock();
    detail::rank_released(R);
  }
  void lock_shared() {
    detail::rank_taken(R);
    if (waiting_) const std::lock_guard behind(turn_);
    mutex_.lock_shared();
  }
  void unlock_shared() {
    mutex_.unlock_shared();
    detail::rank_released(R);
  }

 private:
  std::mutex turn_;
  std::atomic<bool> waiting_ = false;
  std::shared_mutex mutex_;
};

}  // namespace agentfs
