// SPDX-License-Identifier: MIT
// What is kept no longer: too old, or too much.
#include <sys/statvfs.h>

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "kernel/clock_steps.h"
#include "kernel/configuration.h"
#include "kernel/history_keeper.h"
#include "kernel/ignored_paths.h"
#include "kernel/kernel.h"
#include "kernel/retention.h"

namespace agentfs {
namespace {

constexpr std::size_t kBatch = 1'000;  // versions that one record forgets

}  // namespace

std::int64_t HistoryKeeper::by_now(std::int64_t time) const { return clock_steps_.by_now(time); }

Result<Retention> HistoryKeeper::limits() const {
  const HistorySettings settings = kernel_.configuration().history();
  const struct statvfs disk = TRY(kernel_.parts().past->statistics());
  const std::int64_t now = kernel_.clock().wall();
  return Retention{.now = now,
                   .before = now - settings.days * kDay,
                   .bytes = share_of(disk, settings.share),
                   .files = share_of_files(disk, settings.share),
                   .memory = static_cast<std::uint64_t>(settings.index_bytes),
                   .ignored_before = now - settings.ignored_days * kDay,
                   .ignored_bytes = share_of(disk, settings.ignored_share)};
}

bool HistoryKeeper::overflows() const {
  if (kernel_.parts().past == nullptr) return false;
  const auto limits = this->limits();
  if (!limits) return false;
  const auto more = [](std::uint64_t most) { return most / 4 > ~0ULL / 5 ? ~0ULL : most / 4 * 5; };
  bool does = false;
  kernel_.look_at_history([&](const History& history) {
    does = !history.amount().fits({more(limits->bytes), more(limits->files), more(limits->memory)});
  });
  return does;
}

// The first is not always the oldest: a clock may have been ahead.
bool HistoryKeeper::is_due(const Retention& limits, bool by_rules) const {
  const std::int64_t before =
      by_rules ? std::max(limits.before, limits.ignored_before) : limits.before;
  HistoryAmount most = limits.most();
  if (by_rules) most.bytes = std::min(most.bytes, limits.ignored_bytes);
  bool is_due = false;
  kernel_.look_at_history([&](const History& history) {
    is_due =
        !history.amount().fits(most) || std::ranges::any_of(history.all(), [&](const auto& one) {
          return by_now(one.second->time) <= before;
        });
  });
  return is_due;
}

Result<std::size_t> HistoryKeeper::empty(bool by_rules) {
  if (kernel_.parts().past == nullptr) return 0;
  const Lock alone(emptying_);
  clock_steps_.look();  // which may store it: here, and not each second on the event thread
  Retention limits = TRY(this->limits());
  if (!is_due(limits, by_rules)) return 0;
  limits.memory -= limits.memory / 16;  // so that it is not due again at once
  return empty_to(limits, by_rules);
}

Result<std::size_t> HistoryKeeper::give_way() {
  if (kernel_.parts().past == nullptr) return 0;
  const Lock alone(emptying_);
  // By size alone: the clock may be that of long ago, by which all would be too old.
  constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::min();
  Retention half{.now = kernel_.clock().wall(),
                 .before = kNever,
                 .ignored_before = kNever,
                 .ignored_bytes = ~0ULL};
  kernel_.look_at_history([&](const History& history) { half.bytes = history.amount().bytes / 2; });
  return empty_to(half, false);
}

Result<std::size_t> HistoryKeeper::empty_to(const Retention& limits, bool by_rules) {
  std::vector<FileVersionRef> all;
  std::map<std::uint64_t, std::vector<FileVersionRef>> others;  // names of those with several
  kernel_.look_at_history([&](const History& history) {
    by_rules = by_rules || !history.amount().fits(limits.most());  // what is ignored goes first
    all.reserve(history.all().size());
    for (const auto& [number, version] : history.all()) {
      all.push_back(version);
      auto names = history.names_of(*version);
      if (!names.empty()) others.emplace(number, std::move(names));
    }
  });
  IgnoredPaths ignored(kernel_);
  // What has a name that is not ignored stays for that.
  const auto is_ignored = [&](const FileVersion& one) {
    if (!by_rules || !ignored.was_ignored(one.path, one.time)) return false;
    const auto names = others.find(one.number);
    return names == others.end() || std::ranges::all_of(names->second, [&](const auto& name) {
             return ignored.was_ignored(name->path, name->time);
           });
  };
  const auto has_names = [&](const FileVersion& one) { return others.contains(one.number); };
  const std::vector<Outlived> gone = outlived(
      all, limits, {is_ignored, has_names, [&](std::int64_t time) { return by_now(time); }});
  std::vector<FileVersionRef> batch;
  std::size_t dropped = 0;
  for (std::size_t at = 0; at < gone.size(); ++at) {
    batch.push_back(gone[at].version);
    const bool is_last = at + 1 == gone.size() || gone[at + 1].reason != gone[at].reason;
    if (!is_last && batch.size() < kBatch) continue;
    Forgetting which{.gone = std::exchange(batch, {}), .for_others = {}};
    const auto [claimed, busy] = claim(which);  // what is being brought back goes another time
    if (which.gone.empty()) continue;
    TRY(drop(Caller::daemon(kernel_), which, gone[at].reason));
    dropped += which.gone.size();
  }
  return dropped;
}

}  // namespace agentfs
