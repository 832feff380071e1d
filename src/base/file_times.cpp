// SPDX-License-Identifier: MIT
#include "base/file_times.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <thread>

#include "base/file.h"
#include "base/file_clock.h"
#include "base/mutex.h"

namespace agentfs {
namespace {

constexpr std::int64_t kCoarsest = 2 * kNanoseconds;  // of the disks that keep whole seconds: FAT's

struct Disks {
  Mutex<Rank::queue> mutex;
  std::map<dev_t, bool> are_fine GUARDED_BY(mutex);  // of those asked about
};

Disks& disks() {
  static Disks all;
  return all;
}

std::int64_t tick() {
  timespec length{};
  return ::clock_getres(CLOCK_REALTIME_COARSE, &length) == 0 ? nanoseconds_of(length) : 0;
}

// How long the clock still has to go until it has passed this time; 0: it has, or the time is of a
// clock that was set back. Half a tick more than the time, which the disk may have cut off.
std::int64_t left_of(const timespec& time) {
  static const std::int64_t half = std::max<std::int64_t>(tick() / 2, 1);
  const std::int64_t changed = nanoseconds_of(time);
  const std::int64_t ahead = changed - nanoseconds_of(file_clock());
  const std::int64_t left = ahead + (changed % kNanoseconds == 0 ? kCoarsest : half);
  return ahead > kCoarsest ? 0 : std::max<std::int64_t>(left, 0);
}

bool is_fine(dev_t disk) {
  Disks& all = disks();
  Lock lock(all.mutex);
  const auto found = all.are_fine.find(disk);
  return found != all.are_fine.end() && found->second;
}

bool tells(dev_t disk, const timespec& time) { return left_of(time) == 0 || is_fine(disk); }

// Whether a change right after a look has moved the time; nothing: the clock has gone on between
// them, and would have moved any.
std::optional<bool> was_moved(int file) {
  struct stat before{};
  struct stat after{};
  const timespec began = file_clock();
  const bool is_known = ::ftruncate(file, 1) == 0 && ::fstat(file, &before) == 0 &&
                        ::ftruncate(file, 2) == 0 && ::fstat(file, &after) == 0;
  if (!is_known) return false;
  if (nanoseconds_of(began) != nanoseconds_of(file_clock())) return std::nullopt;
  return nanoseconds_of(before.st_ctim) != nanoseconds_of(after.st_ctim) &&
         nanoseconds_of(before.st_mtim) != nanoseconds_of(after.st_mtim);
}

bool find_out(int directory) {
  constexpr int kTries = 64;
  constexpr int kEnough = 3;
  const UniqueFd file(::openat(directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  int moved = 0;
  for (int i = 0; file && i < kTries && moved < kEnough; ++i) {
    const auto known = was_moved(file.get());
    if (known && !*known) return false;
    if (known) ++moved;
  }
  return moved == kEnough;
}

}  // namespace

void learn_times(int directory) {
  struct stat found{};
  if (::fstat(directory, &found) != 0) return;
  Disks& all = disks();
  {
    Lock lock(all.mutex);
    if (all.are_fine.contains(found.st_dev)) return;
  }
  const bool fine = find_out(directory);
  Lock lock(all.mutex);
  all.are_fine.emplace(found.st_dev, fine);
}

bool tells_changes(const struct stat& seen) { return tells(seen.st_dev, seen.st_ctim); }

bool tells_writes(const struct stat& seen) { return tells(seen.st_dev, seen.st_mtim); }

void await_telling(const struct stat& seen) {
  while (!tells_changes(seen)) {
    std::this_thread::sleep_for(std::chrono::nanoseconds(left_of(seen.st_ctim)));
  }
}

}  // namespace agentfs
