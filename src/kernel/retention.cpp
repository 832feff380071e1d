// SPDX-License-Identifier: MIT
#include "kernel/retention.h"

#include <algorithm>

namespace agentfs {
namespace {

constexpr HistoryAmount kNoLimit{~0ULL, ~0ULL, ~0ULL};

// What stays so far, and how much that is.
struct Rest {
  std::vector<FileVersionRef> versions;
  HistoryAmount amount{};

  void add(const FileVersionRef& version) {
    versions.push_back(version);
    amount += HistoryAmount::of(*version);
  }
};

HistoryAmount without(const HistoryAmount& most, const HistoryAmount& other) {
  const auto less = [](std::uint64_t all, std::uint64_t part) { return all - std::min(all, part); };
  return {less(most.bytes, other.bytes), less(most.files, other.files),
          less(most.memory, other.memory)};
}

// What is more by itself would have all others go in vain.
bool is_too_large(const FileVersion& version, std::uint64_t most) {
  return version.type == FileVersion::Type::file && version.held > most;
}

// Oldest first, until what stays is no more than `most`.
void shrink(Rest& rest, const HistoryAmount& most, std::string_view reason,
            std::vector<Outlived>& gone) {
  std::size_t count = 0;
  for (; count < rest.versions.size() && !rest.amount.fits(most); ++count) {
    const FileVersionRef& version = rest.versions[count];
    gone.push_back({version, reason});
    rest.amount -= HistoryAmount::of(*version);
  }
  rest.versions.erase(rest.versions.begin(),
                      rest.versions.begin() + static_cast<std::ptrdiff_t>(count));
}

}  // namespace

std::vector<Outlived> outlived(const std::vector<FileVersionRef>& all, const Retention& limits,
                               const std::function<bool(const FileVersion&)>& is_ignored) {
  std::vector<Outlived> gone;
  Rest plain;
  Rest ignored;
  for (const FileVersionRef& version : all) {
    if (version->time <= limits.before) {
      gone.push_back({version, "age"});
    } else if (is_too_large(*version, limits.bytes)) {
      gone.push_back({version, "space"});
    } else if (!is_ignored(*version)) {
      plain.add(version);
    } else if (version->time <= limits.ignored_before ||
               is_too_large(*version, limits.ignored_bytes)) {
      gone.push_back({version, "ignored"});
    } else {
      ignored.add(version);
    }
  }
  HistoryAmount most_ignored = kNoLimit;
  most_ignored.bytes = limits.ignored_bytes;
  shrink(ignored, most_ignored, "ignored", gone);
  shrink(ignored, without(limits.most(), plain.amount), "space", gone);
  shrink(plain, limits.most(), "space", gone);
  return gone;
}

}  // namespace agentfs
