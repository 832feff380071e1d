// SPDX-License-Identifier: MIT
#include "backends/imports/host_stores.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <string>
#include <thread>

#include "backends/imports/host_directory.h"
#include "base/file_clock.h"
#include "base/nanoseconds.h"

namespace agentfs::imports {
namespace {

// Within this the host's kernel writes back by itself what is dirty (vm.dirty_expire_centisecs is
// 30 s, where programs that save power do not raise it).
constexpr std::int64_t kWrittenBack = 120 * kNanoseconds;
// Of the coarsest disks, which know no parts of a second.
constexpr std::int64_t kCoarsest = 2 * kNanoseconds;

// The pages of a file on an overlay are those of the one that it is made of, which
// sync_file_range(2) does not reach.
void write_back(const HostDirectory& host, const std::vector<std::string>& paths, unsigned how) {
  for (const std::string& path : paths) {
    const auto file = host.open(path, O_RDONLY);
    if (!file) continue;
    if (kind_of_disk(file->get()) != OVERLAYFS_SUPER_MAGIC) {
      (void)::sync_file_range(file->get(), 0, 0, how);
    } else if (how == SYNC_FILE_RANGE_WRITE_AND_WAIT) {
      (void)::fdatasync(file->get());
    }
  }
}

std::int64_t tick() {
  timespec length{};
  return ::clock_getres(CLOCK_REALTIME_COARSE, &length) == 0 ? nanoseconds_of(length) : 0;
}

// Until what is written has a later time than this one.
void wait_for_next(std::int64_t changed) {
  const std::int64_t step = changed % kNanoseconds == 0 ? kCoarsest : tick();
  const std::int64_t left = changed + step - nanoseconds_of(file_clock());
  if (left <= 0 || left > kCoarsest + step) return;  // of a clock that was set back
  std::this_thread::sleep_for(std::chrono::nanoseconds(left));
}

void settle(const ImportRecords& records, const std::vector<Entry>& seen) {
  const std::int64_t since = nanoseconds_of(file_clock()) - kWrittenBack;
  std::vector<std::string> fresh;
  std::int64_t newest = since;
  for (const Entry& one : seen) {
    if (!one.state.is_regular() || one.state.changed < since) continue;
    fresh.push_back(one.path);
    newest = std::max(newest, one.state.changed);
  }
  const auto host = HostDirectory::open(records.source());
  if (fresh.empty() || !host) return;
  // All are begun before one is waited for.
  write_back(*host, fresh, SYNC_FILE_RANGE_WRITE);
  write_back(*host, fresh, SYNC_FILE_RANGE_WRITE_AND_WAIT);
  wait_for_next(newest);
}

}  // namespace

Status record_settled(ImportRecords& records, const std::vector<HostDrift>& seen) {
  std::vector<Entry> entries;
  entries.reserve(seen.size());
  for (const HostDrift& one : seen) entries.push_back({one.path, one.now});
  settle(records, entries);
  return records.append(entries);
}

}  // namespace agentfs::imports
