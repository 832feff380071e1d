// SPDX-License-Identifier: MIT
#include "kernel/generations.h"

#include <algorithm>
#include <ranges>

#include "base/hash.h"
#include "base/text.h"
#include "kernel/paths.h"

namespace agentfs {
namespace {

// The next name of a path, which is taken off it; what lies below a .git is the .git.
std::string_view take_name(std::string_view& path) {
  while (path.starts_with('/')) path.remove_prefix(1);
  const std::string_view name = path.substr(0, path.find('/'));
  path.remove_prefix(name.size());
  if (name == ".git") path = {};
  return name;
}

ProcessId process_of(const Generation& generation) {
  return generation.writer == nullptr ? ProcessId{} : generation.writer->process;
}

}  // namespace

bool has_generation(std::string_view path) {
  return path.starts_with("/workspaces/") || path.starts_with("/home/");
}

Generations::Generations(std::size_t most) : most_(most), slots_(1), buckets_(64) {
  slots_[0].used = true;
}

// --- the table

std::uint64_t Generations::hash(Id parent, std::string_view name) {
  const std::uint64_t mixed = fnv1a(name, 0xcbf29ce484222325u ^ (parent * 0x9e3779b97f4a7c15u));
  return mixed ^ (mixed >> 29U);
}

Generations::Id Generations::find_child(Id parent, std::string_view name) const {
  Id id = buckets_[hash(parent, name) & (buckets_.size() - 1)];
  while (id != 0 && (slots_[id].entry.parent != parent || slots_[id].entry.name != name)) {
    id = slots_[id].next;
  }
  return id;
}

void Generations::link(Id id) {
  Slot& slot = slots_[id];
  Id& first = buckets_[hash(slot.entry.parent, slot.entry.name) & (buckets_.size() - 1)];
  slot.next = first;
  first = id;
  ++slots_[slot.entry.parent].children;
}

void Generations::unlink(Id id) {
  const Slot& slot = slots_[id];
  Id* at = &buckets_[hash(slot.entry.parent, slot.entry.name) & (buckets_.size() - 1)];
  while (*at != id) at = &slots_[*at].next;
  *at = slot.next;
  --slots_[slot.entry.parent].children;
}

void Generations::grow() {
  buckets_.assign(buckets_.size() * 2, 0);
  for (Id id = 1; id < slots_.size(); ++id) {
    if (!slots_[id].used) continue;
    Id& first =
        buckets_[hash(slots_[id].entry.parent, slots_[id].entry.name) & (buckets_.size() - 1)];
    slots_[id].next = first;
    first = id;
  }
}

Generations::Id Generations::add(Id parent, std::string_view name) {
  Id id = 0;
  if (unused_.empty()) {
    id = static_cast<Id>(slots_.size());
    slots_.emplace_back();
  } else {
    id = unused_.back();
    unused_.pop_back();
  }
  Slot& slot = slots_[id];
  slot.entry.parent = parent;
  slot.entry.name = name;
  slot.used = true;
  link(id);
  touched_.push_back(id);
  if (++used_ > buckets_.size()) grow();
  return id;
}

void Generations::free(Id id) {
  unlink(id);
  slots_[id] = {};
  unused_.push_back(id);
  touched_.push_back(id);
  --used_;
}

std::vector<Generations::Id> Generations::take_touched() {
  std::vector<Id> ids = std::exchange(touched_, {});
  std::ranges::sort(ids);
  ids.erase(std::ranges::unique(ids).begin(), ids.end());
  return ids;
}

template <class Visit>
void Generations::visit(std::string_view path, const Visit& each) const {
  Id id = 0;
  each(slots_[0].entry);
  while (!path.empty()) {
    const std::string_view name = take_name(path);
    if (name.empty()) return;
    id = find_child(id, name);
    if (id == 0) return;
    each(slots_[id].entry);
  }
}

Generations::Id Generations::find_path(std::string_view path) const {
  Id id = 0;
  while (!path.empty()) {
    const std::string_view name = take_name(path);
    if (name.empty()) break;
    id = find_child(id, name);
    if (id == 0) return 0;
  }
  return id;
}

Generations::Id Generations::ensure(std::string_view path) {
  Id id = 0;
  while (!path.empty()) {
    const std::string_view name = take_name(path);
    if (name.empty()) break;
    const Id child = find_child(id, name);
    id = child != 0 ? child : add(id, name);
  }
  return id;
}

std::string Generations::path_of(Id id) const {
  std::vector<std::string_view> names;
  for (; id != 0; id = slots_[id].entry.parent) names.push_back(slots_[id].entry.name);
  std::string path;
  for (const std::string_view name : names | std::views::reverse) path.append("/").append(name);
  return path;
}

// --- changes

void Generations::set(Id id, const Generation& by) {
  Entry& entry = slots_[id].entry;
  if (process_of(entry.last) != process_of(by)) entry.other = entry.last.number;
  const std::int64_t named = by.named != 0 ? by.named : entry.last.named;
  entry.last = by;
  entry.last.named = named;
  touched_.push_back(id);
}

void Generations::change(std::string_view path, const Generation& by) {
  const Id id = ensure(path);
  if (id != 0) set(id, by);
  if (used_ > most_) forget_older_half();
}

void Generations::erase_below(Id id) {
  if (slots_[id].children == 0) return;
  // There is no list of what is in a directory: it is needed where a whole tree goes, and for what
  // was removed unseen.
  const auto is_below = [&](Id one) {
    while (one != 0 && one != id) one = slots_[one].entry.parent;
    return one == id;
  };
  std::vector<Id> below;
  for (Id one = 1; one < slots_.size(); ++one) {
    if (slots_[one].used && one != id && is_below(one)) below.push_back(one);
  }
  for (const Id one : below) free(one);
}

void Generations::remove(std::string_view path, const Generation& by) {
  if (paths::is_in_repository(path)) return change(path, by);
  const Id id = find_path(path);
  if (id == 0) return;
  erase_below(id);
  free(id);
}

void Generations::place(Id id, std::string_view path) {
  const auto slash = path.rfind('/');
  const Id parent = ensure(path.substr(0, slash));
  unlink(id);
  slots_[id].entry.parent = parent;
  slots_[id].entry.name = path.substr(slash + 1);
  link(id);
}

void Generations::move(std::string_view from, std::string_view to, const Generation& by) {
  // A journal may tell of a file that goes into a directory of its own name, or takes its place.
  const bool is_nested = from != to && (text::is_in(from, to) || text::is_in(to, from));
  if (is_nested || paths::is_in_repository(from) || paths::is_in_repository(to)) {
    remove(from, by);
    return change(to, by);
  }
  const Id source = find_path(from);
  const Id target = find_path(to);
  if (source == 0 || source == target) return change(to, by);
  // What the name held before is what it was changed from; what the moved one was does not count.
  Entry next;
  if (target != 0) {
    next = slots_[target].entry;
    remove(to, by);
  }
  place(source, to);
  slots_[source].entry.last = next.last;
  slots_[source].entry.other = next.other;
  set(source, by);
}

void Generations::exchange(std::string_view one, std::string_view two, const Generation& by) {
  const Id first = ensure(one);
  const Id second = ensure(two);
  if (first == 0 || second == 0) return;
  if (first != second && !paths::is_in_repository(one) && !paths::is_in_repository(two)) {
    unlink(first);
    unlink(second);
    std::swap(slots_[first].entry.parent, slots_[second].entry.parent);
    std::swap(slots_[first].entry.name, slots_[second].entry.name);
    // As with move(): what is known of a name stays with it.
    std::swap(slots_[first].entry.last, slots_[second].entry.last);
    std::swap(slots_[first].entry.other, slots_[second].entry.other);
    link(first);
    link(second);
  }
  set(first, by);
  set(second, by);
}

// Files first, then the directories that this leaves empty.
void Generations::forget_older_half() {
  std::vector<std::uint64_t> numbers;
  for (Id id = 1; id < slots_.size(); ++id) {
    if (slots_[id].used && slots_[id].children == 0) {
      numbers.push_back(slots_[id].entry.last.number.value);
    }
  }
  if (numbers.empty()) return;
  const auto middle = numbers.begin() + static_cast<long>(numbers.size() / 2);
  std::ranges::nth_element(numbers, middle);
  const Sequence limit{*middle};
  for (Id id = 1; id < slots_.size(); ++id) {
    Id one = id;
    while (one != 0 && slots_[one].used && slots_[one].children == 0 &&
           slots_[one].entry.last.number <= limit) {
      const Id parent = slots_[one].entry.parent;
      free(one);
      one = parent;
    }
  }
  slots_[0].entry.last = {.number = std::max(slots_[0].entry.last.number, limit)};
  touched_.push_back(0);
}

WriterRef Generations::writer(ProcessId process, std::string lineage) {
  if (newest_writer_ != nullptr && newest_writer_->process == process &&
      newest_writer_->lineage == lineage) {
    return newest_writer_;
  }
  std::weak_ptr<const Writer>& known = writers_[fmt::format("{} {}", process.value, lineage)];
  newest_writer_ = known.lock();
  if (newest_writer_ == nullptr) {
    newest_writer_ = std::make_shared<const Writer>(Writer{process, std::move(lineage)});
    known = newest_writer_;
  }
  if (writers_.size() > prune_at_) {
    std::erase_if(writers_, [](const auto& one) { return one.second.expired(); });
    prune_at_ = std::max<std::size_t>(1024, writers_.size() * 2);
  }
  return newest_writer_;
}

// --- looks

Generation Generations::of(std::string_view path) const {
  Generation newest;
  visit(path, [&](const Entry& entry) {
    if (entry.last.number > newest.number) newest = entry.last;
  });
  return newest;
}

std::int64_t Generations::named(std::string_view path) const {
  return slots_[find_path(path)].entry.last.named;
}

Sequence Generations::changed_by_other(std::string_view path, ProcessId process) const {
  Sequence newest;
  visit(path, [&](const Entry& entry) {
    const bool is_own = entry.last.writer != nullptr && entry.last.writer->process == process;
    newest = std::max(newest, is_own ? entry.other : entry.last.number);
  });
  return newest;
}

// Of paths that are very long fewer, so that nobody waits for them.
std::vector<std::pair<std::string, Generation>> Generations::newest(std::size_t count) const {
  constexpr std::size_t kMostBytes = 16U << 20U;
  std::vector<Id> ids;
  for (Id id = 1; id < slots_.size(); ++id) {
    if (slots_[id].used && slots_[id].entry.last.number) ids.push_back(id);
  }
  const auto number = [&](Id id) { return slots_[id].entry.last.number; };
  if (ids.size() > count) {
    std::ranges::nth_element(ids, ids.begin() + static_cast<long>(count), std::greater(), number);
    ids.resize(count);
  }
  std::ranges::sort(ids, {}, [&](Id id) { return std::pair(number(id), id); });
  std::vector<std::pair<std::string, Generation>> rows;
  rows.reserve(ids.size());
  std::size_t bytes = 0;
  for (const Id id : ids | std::views::reverse) {
    std::string path = path_of(id);
    bytes += path.size();
    if (bytes > kMostBytes) break;
    const Generation generation = of(path);
    rows.emplace_back(std::move(path), generation);
  }
  std::ranges::sort(rows, {}, [](const auto& row) {
    return std::pair(row.second.number, std::string_view(row.first));
  });
  return rows;
}

}  // namespace agentfs
