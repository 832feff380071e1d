// SPDX-License-Identifier: MIT
// Which old contents are to go.
#pragma once

#include <sys/statvfs.h>

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "kernel/history.h"

namespace agentfs {

inline constexpr std::int64_t kDay = std::int64_t{86'400} * 1'000'000'000;

// For how long and how much. Times are wall clock, nanoseconds; what was replaced at or before one
// is too old.
struct Retention {
  std::int64_t now = 0;  // 0: what lies close together is not known
  std::int64_t before = 0;
  std::uint64_t bytes = 0;       // of all
  std::uint64_t files = ~0ULL;   // contents that are files, each an inode, of all
  std::uint64_t memory = ~0ULL;  // of the daemon's, of all
  // Of what .gitignore names, which is cheap to make again and would crowd out the rest.
  std::int64_t ignored_before = 0;
  std::uint64_t ignored_bytes = 0;

  HistoryAmount most() const { return {bytes, files, memory}; }
};

std::uint64_t share_of(const struct statvfs& disk, double share);  // of its bytes
// Of the inodes; as many as there are where the disk does not count them.
std::uint64_t share_of_files(const struct statvfs& disk, double share);

struct KnownOfVersions {
  std::function<bool(const FileVersion&)> is_ignored;
  std::function<bool(const FileVersion&)> has_names;   // as History::names_of; null: none has
  std::function<std::int64_t(std::int64_t)> by_now{};  // as ClockSteps; null: as it is
};

struct Outlived {
  FileVersionRef version;
  std::string_view reason;  // "age", "ignored", "space"
};

// `all` is ordered, oldest first. What is too old goes; then, oldest first, what is ignored until
// that fits, and where the whole does not fit all that is ignored before anything else. Of the rest
// those first that a file has many of, as a database that is written in place: of the versions of
// the path that has most those that lie close to the next one for their age, and so on, but neither
// its newest, nor what is in the trash, nor as what removed names come back. Then, oldest first,
// the others. Where there are several users' files, whose holds most is asked first, and keeps an
// equal share: what one changes again and again has nothing of another's go.
std::vector<Outlived> outlived(const std::vector<FileVersionRef>& all, const Retention& limits,
                               const KnownOfVersions& known);

}  // namespace agentfs
