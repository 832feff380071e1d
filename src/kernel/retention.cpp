// SPDX-License-Identifier: MIT
#include "kernel/retention.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace agentfs {
namespace {

// What stays so far, and how much that is.
struct Rest {
  std::vector<FileVersionRef> versions;
  HistoryAmount amount{};

  void add(const FileVersionRef& version) {
    versions.push_back(version);
    amount += HistoryAmount::of(*version);
  }
};

// Of one user's files.
struct Past {
  Rest plain;
  Rest ignored;

  HistoryAmount amount() const {
    HistoryAmount both = plain.amount;
    both += ignored.amount;
    return both;
  }
};

// As much for each that all together are no more than `most`: who has less has it all, and leaves
// the rest to the others.
std::uint64_t equal_share(std::vector<std::uint64_t> amounts, std::uint64_t most) {
  std::ranges::sort(amounts);
  for (std::size_t at = 0; at < amounts.size(); ++at) {
    const std::uint64_t share = most / (amounts.size() - at);
    if (amounts[at] > share) return share;
    most -= amounts[at];
  }
  return ~0ULL;
}

// Has who holds most of what there is too much of, and so on, keep no more than an equal share,
// until all fit.
template <class AmountOf, class Keep>
void share_out(std::map<uid_t, Past>& pasts, const HistoryAmount& most, const AmountOf& amount_of,
               const Keep& keep) {
  HistoryAmount all;
  for (const auto& [uid, past] : pasts) all += std::invoke(amount_of, past);
  const auto share_of = [&](std::uint64_t HistoryAmount::* part) {
    std::vector<std::uint64_t> amounts;
    for (const auto& [uid, past] : pasts) amounts.push_back(std::invoke(amount_of, past).*part);
    return equal_share(std::move(amounts), most.*part);
  };
  const HistoryAmount share{share_of(&HistoryAmount::bytes), share_of(&HistoryAmount::files),
                            share_of(&HistoryAmount::memory)};
  const auto part = all.bytes > most.bytes   ? &HistoryAmount::bytes
                    : all.files > most.files ? &HistoryAmount::files
                                             : &HistoryAmount::memory;
  std::multimap<std::uint64_t, Past*, std::greater<>> order;
  for (auto& [uid, past] : pasts) order.emplace(std::invoke(amount_of, past).*part, &past);
  for (const auto& [weight, one] : order) {
    if (all.fits(most)) return;
    all -= std::invoke(amount_of, *one);
    keep(*one, share);
    all += std::invoke(amount_of, *one);
  }
}

HistoryAmount without(const HistoryAmount& most, const HistoryAmount& other) {
  const auto less = [](std::uint64_t all, std::uint64_t part) { return all - std::min(all, part); };
  return {less(most.bytes, other.bytes), less(most.files, other.files),
          less(most.memory, other.memory)};
}

// What is more by itself would have all others go in vain.
bool is_too_large(const FileVersion& version, std::uint64_t most) {
  return version.type == FileVersion::Type::file && version.held > most;
}

// The contents that a path has had.
struct Repeated {
  std::vector<std::size_t> places;  // of those that stay, among all, newest first
  std::uint64_t weight = 0;         // bytes, or how many they are, whichever there is too much of
  std::size_t steps = 0;            // in which they have been thinned
};

// Of the paths that have several.
std::vector<Repeated> repeated(const Rest& rest,
                               const std::function<std::uint64_t(std::size_t)>& weight,
                               const KnownOfVersions& known) {
  std::unordered_map<std::string_view, Repeated> by_path;
  for (std::size_t place = rest.versions.size(); place-- > 0;) {
    const FileVersion& version = *rest.versions[place];
    if (version.type != FileVersion::Type::file || version.in_trash) continue;
    if (known.has_names && known.has_names(version)) continue;
    Repeated& its = by_path[version.path];
    its.places.push_back(place);
    its.weight += weight(place);
  }
  std::vector<Repeated> several;
  for (auto& [path, its] : by_path) {
    if (its.places.size() > 1) several.push_back(std::move(its));
  }
  return several;
}

// Those that lie closer to the next newer one that stays than one of `parts` parts of their age, so
// that what stays lies the wider apart the older it is. Oldest first.
std::vector<std::size_t> take_crowded(const Rest& rest, std::vector<std::size_t>& places,
                                      std::int64_t now, std::int64_t parts) {
  std::vector<std::size_t> crowded;
  std::vector<std::size_t> kept;
  const auto time_of = [&](std::size_t place) { return rest.versions[place]->time; };
  for (const std::size_t place : places) {
    const bool is_close =
        !kept.empty() && time_of(kept.back()) - time_of(place) < (now - time_of(place)) / parts;
    (is_close ? crowded : kept).push_back(place);
  }
  places = std::move(kept);
  std::ranges::reverse(crowded);
  return crowded;
}

// Of what was changed again and again, whatever there is most of first, until what stays is no more
// than may be.
void thin(Rest& rest, const HistoryAmount& most, std::int64_t now, const KnownOfVersions& known,
          std::vector<Outlived>& gone) {
  constexpr auto kParts = std::to_array<std::int64_t>({16, 8, 4, 2});
  if (rest.amount.fits(most)) return;
  const bool is_of_bytes = rest.amount.bytes > most.bytes;
  const auto weight = [&](std::size_t place) {
    return is_of_bytes ? rest.versions[place]->held : std::uint64_t{1};
  };
  std::vector<Repeated> heap = repeated(rest, weight, known);
  std::ranges::make_heap(heap, {}, &Repeated::weight);
  while (!heap.empty() && !rest.amount.fits(most)) {
    std::ranges::pop_heap(heap, {}, &Repeated::weight);
    Repeated& its = heap.back();
    for (const std::size_t place : take_crowded(rest, its.places, now, kParts[its.steps])) {
      if (rest.amount.fits(most)) break;
      its.weight -= weight(place);
      rest.amount -= HistoryAmount::of(*rest.versions[place]);
      gone.push_back({std::exchange(rest.versions[place], nullptr), "space"});
    }
    if (++its.steps < kParts.size()) {
      std::ranges::push_heap(heap, {}, &Repeated::weight);
    } else {
      heap.pop_back();
    }
  }
  std::erase(rest.versions, nullptr);
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

std::uint64_t share_of(const struct statvfs& disk, double share) {
  const double total = static_cast<double>(disk.f_blocks) * static_cast<double>(disk.f_frsize);
  return static_cast<std::uint64_t>(total * share);
}

std::uint64_t share_of_files(const struct statvfs& disk, double share) {
  if (disk.f_files == 0) return ~0ULL;
  return static_cast<std::uint64_t>(static_cast<double>(disk.f_files) * share);
}

std::vector<Outlived> outlived(const std::vector<FileVersionRef>& all, const Retention& limits,
                               const KnownOfVersions& known) {
  std::vector<Outlived> gone;
  std::map<uid_t, Past> pasts;
  for (const FileVersionRef& version : all) {
    const std::int64_t time = known.by_now ? known.by_now(version->time) : version->time;
    if (time <= limits.before) {
      gone.push_back({version, "age"});
    } else if (is_too_large(*version, limits.bytes)) {
      gone.push_back({version, "space"});
    } else if (!known.is_ignored(*version)) {
      pasts[version->uid].plain.add(version);
    } else if (time <= limits.ignored_before || is_too_large(*version, limits.ignored_bytes)) {
      gone.push_back({version, "ignored"});
    } else {
      pasts[version->uid].ignored.add(version);
    }
  }
  const HistoryAmount most_ignored{limits.ignored_bytes, ~0ULL, ~0ULL};
  const auto ignored_of = [](const Past& its) { return its.ignored.amount; };
  share_out(pasts, most_ignored, ignored_of, [&](Past& its, const HistoryAmount& share) {
    shrink(its.ignored, share, "ignored", gone);
  });
  share_out(pasts, limits.most(), &Past::amount, [&](Past& its, const HistoryAmount& share) {
    shrink(its.ignored, without(share, its.plain.amount), "space", gone);
    thin(its.plain, share, limits.now, known, gone);
    shrink(its.plain, share, "space", gone);
  });
  return gone;
}

}  // namespace agentfs
