// SPDX-License-Identifier: MIT
#include "kernel/retention.h"

#include <algorithm>
#include <array>
#include <functional>
#include <string_view>
#include <unordered_map>
#include <utility>

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
void thin(Rest& rest, const Retention& limits, const KnownOfVersions& known,
          std::vector<Outlived>& gone) {
  constexpr auto kParts = std::to_array<std::int64_t>({16, 8, 4, 2});
  const HistoryAmount most = limits.most();
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
    for (const std::size_t place : take_crowded(rest, its.places, limits.now, kParts[its.steps])) {
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
  Rest plain;
  Rest ignored;
  for (const FileVersionRef& version : all) {
    const std::int64_t time = known.by_now ? known.by_now(version->time) : version->time;
    if (time <= limits.before) {
      gone.push_back({version, "age"});
    } else if (is_too_large(*version, limits.bytes)) {
      gone.push_back({version, "space"});
    } else if (!known.is_ignored(*version)) {
      plain.add(version);
    } else if (time <= limits.ignored_before || is_too_large(*version, limits.ignored_bytes)) {
      gone.push_back({version, "ignored"});
    } else {
      ignored.add(version);
    }
  }
  HistoryAmount most_ignored = kNoLimit;
  most_ignored.bytes = limits.ignored_bytes;
  shrink(ignored, most_ignored, "ignored", gone);
  shrink(ignored, without(limits.most(), plain.amount), "space", gone);
  thin(plain, limits, known, gone);
  shrink(plain, limits.most(), "space", gone);
  return gone;
}

}  // namespace agentfs
