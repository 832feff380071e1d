// SPDX-License-Identifier: MIT
#include "kernel/merge_base_records.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <ranges>

#include "base/directory.h"
#include "base/file.h"
#include "base/text.h"
#include "kernel/checked_line.h"

namespace agentfs {
namespace {

constexpr std::string_view kUnsettled = ".unsettled";
constexpr std::string_view kEnded = ".conflicts";
constexpr std::string_view kLabel = "base/";
constexpr std::string_view kEarlierLabel = "merged/";
constexpr std::string_view kUnknown = "-";

// Numbers with dots between; nothing where one is none.
std::vector<std::uint64_t> numbers_in(std::string_view name) {
  std::vector<std::uint64_t> numbers;
  for (const std::string_view word : text::split(name, '.')) {
    const auto number = text::number<std::uint64_t>(word);
    if (!number) return {};
    numbers.push_back(*number);
  }
  return numbers;
}

Result<std::vector<std::filesystem::path>> paths_in(const std::string& directory) {
  std::vector<std::filesystem::path> found;
  for (const HostEntry& entry : TRY(list_if_there(directory)))
    found.emplace_back(directory + "/" + entry.name);
  std::ranges::sort(found);
  return found;
}

BaseRecord record_at(const std::filesystem::path& path, const std::vector<std::uint64_t>& parts) {
  return {.path = path,
          .into = static_cast<std::uint32_t>(parts[0]),
          .from = static_cast<std::uint32_t>(parts[1])};
}

// False: it has been removed meanwhile.
bool read_text(BaseRecord& record, bool names_state) {
  const auto text = file::read(record.path);
  if (!text && text.error().code == ENOENT) return false;
  const auto words = text ? checked(*text) : std::nullopt;
  const auto state = words ? text::number<std::uint64_t>(words->first) : std::nullopt;
  if (!text) {
    record.damage = text.error().message;
  } else if (!state || *state == 0 || (names_state && *state != record.state)) {
    record.damage = "cannot be read";
  } else {
    record.state = *state;
    record.newest = text::number<std::uint64_t>(words->second);
  }
  return true;
}

const TreeInfo* tree_of(const std::vector<TreeInfo>& family, std::uint32_t number) {
  const auto found = std::ranges::find(family, number, &TreeInfo::number);
  return found == family.end() || found->name.empty() ? nullptr : &*found;
}

// Of a label of this build; null for others, and of a tree that is gone.
const TreeInfo* merged_into(std::string_view label, const std::vector<TreeInfo>& family) {
  if (!label.starts_with(kLabel)) return nullptr;
  const auto number = text::number<std::uint32_t>(label.substr(kLabel.size()));
  return number ? tree_of(family, *number) : nullptr;
}

const SnapshotInfo* state_of(const TreeInfo& from, const BaseRecord& record) {
  const auto found = std::ranges::find_if(from.snapshots, [&](const SnapshotInfo& one) {
    return one.id.sequence == record.state && is_base_label(one.label, record.into);
  });
  return found == from.snapshots.end() ? nullptr : &*found;
}

// What a tree can be: what it is, and each state that it can go back to.
std::vector<std::uint64_t> ends_of(const TreeInfo& tree) {
  std::vector<std::uint64_t> ends{Lineage::kNow};
  for (const SnapshotInfo& one : tree.snapshots) {
    if (!one.hidden && !one.label.contains('/')) ends.push_back(one.id.sequence);
  }
  return ends;
}

// The records of two trees that can be read, the last one first.
class Pair {
 public:
  // For each of them, whether it holds for one of the trees.
  using Holding = std::vector<bool>;

  Pair(const std::vector<BaseRecord>& records, const MergedTree& one, const MergedTree& other) {
    std::vector<std::pair<std::int64_t, const BaseRecord*>> by_time;  // and by their order
    for (const BaseRecord& record : records) {
      if (!record.damage.empty() || !record.is_of(one.info.number, other.info.number)) continue;
      const TreeInfo& from = record.from == one.info.number ? one.info : other.info;
      const SnapshotInfo* const state = state_of(from, record);
      if (state != nullptr) by_time.emplace_back(state->time, &record);
    }
    std::ranges::sort(by_time, {}, [](const auto& at) { return std::pair(-at.first, at.second); });
    for (const auto& [time, record] : by_time) records_.push_back(record);
  }

  Holding holding(const MergedTree& tree, std::uint64_t end) const {
    Holding all;
    for (const BaseRecord* const record : records_) {
      const bool is_from = record->from == tree.info.number;
      all.push_back(is_from ? tree.lineage.has_state(record->state, end)
                            : !record->newest || tree.lineage.has_after(*record->newest, end));
    }
    return all;
  }
  // Of all that the tree can be; few of these differ, however many states there are.
  std::set<Holding> holding_at_any(const MergedTree& tree) const {
    std::set<Holding> all;
    for (const std::uint64_t end : ends_of(tree.info)) all.insert(holding(tree, end));
    return all;
  }
  const BaseRecord* last(const Holding& one, const Holding& other) const {
    for (std::size_t at = 0; at < records_.size(); ++at) {
      if (one[at] && other[at]) return records_[at];
    }
    return nullptr;
  }

 private:
  std::vector<const BaseRecord*> records_;
};

}  // namespace

// --- records

std::string rollback_file(const std::string& directory, std::uint32_t tree) {
  return fmt::format("{}/{}.rollback", directory, tree);
}

std::string BaseRecord::name() const { return fmt::format("{}.{}.{}", into, from, state); }

std::string BaseRecord::text() const {
  return with_check(
      fmt::format("{} {}", state, newest ? fmt::to_string(*newest) : std::string(kUnknown)));
}

Result<std::vector<BaseRecord>> base_records(const std::string& directory) {
  std::vector<BaseRecord> found;
  for (const auto& path : TRY(paths_in(directory))) {
    const std::vector<std::uint64_t> parts = numbers_in(path.filename().native());
    if (parts.size() != 2 && parts.size() != 3) continue;
    BaseRecord record = record_at(path, parts);
    if (parts.size() == 3) record.state = parts[2];
    if (read_text(record, parts.size() == 3)) found.push_back(std::move(record));
  }
  return found;
}

Result<std::vector<BaseRecord>> ended_conflicts(const std::string& directory) {
  std::vector<BaseRecord> found;
  for (const auto& path : TRY(paths_in(directory))) {
    const std::string file = path.filename();
    if (!file.ends_with(kEnded)) continue;
    const auto parts = numbers_in(std::string_view(file).substr(0, file.size() - kEnded.size()));
    if (parts.size() != 4) continue;
    BaseRecord record = record_at(path, parts);
    record.state = parts[2];
    record.newest = parts[3];
    found.push_back(std::move(record));
  }
  return found;
}

std::string ended_file(const std::string& directory, const BaseRecord& record) {
  return fmt::format("{}/{}.{}{}", directory, record.name(), record.newest.value_or(0), kEnded);
}

Result<std::vector<BaseRecord>> obsolete_records(const std::string& directory) {
  std::vector<BaseRecord> found;
  for (const auto& path : TRY(paths_in(directory))) {
    const std::vector<std::uint64_t> parts = numbers_in(path.filename().native());
    if (parts.size() == 4) found.push_back(record_at(path, parts));
  }
  return found;
}

Status forget_record(const BaseRecord& record) {
  TRY(note_unsettled(std::string(text::parent_part(record.path)), record.into, record.from));
  return file::remove(record.path);
}

std::uint64_t newest_state(const TreeInfo& tree) {
  std::uint64_t newest = 0;
  for (const SnapshotInfo& one : tree.snapshots) newest = std::max(newest, one.id.sequence);
  return newest;
}

const BaseRecord* last_that_holds(const std::vector<BaseRecord>& records, const MergedTree& one,
                                  const MergedTree& other) {
  const Pair pair(records, one, other);
  return pair.last(pair.holding(one, Lineage::kNow), pair.holding(other, Lineage::kNow));
}

std::set<std::string> needed_records(const std::vector<BaseRecord>& records, const MergedTree& one,
                                     const MergedTree& other) {
  const Pair pair(records, one, other);
  std::set<std::string> needed;
  for (const auto& first : pair.holding_at_any(one)) {
    for (const auto& second : pair.holding_at_any(other)) {
      const BaseRecord* const last = pair.last(first, second);
      if (last != nullptr) needed.insert(last->path);
    }
  }
  return needed;
}

// --- what is not settled

std::string unsettled_name(std::uint32_t into, std::uint32_t from) {
  return fmt::format("{}.{}{}", into, from, kUnsettled);
}

Status note_unsettled(const std::string& directory, std::uint32_t into, std::uint32_t from) {
  const std::string name = fmt::format("{}/{}", directory, unsettled_name(into, from));
  for (const auto& [path, flags] :
       {std::pair(name, O_WRONLY | O_CREAT), std::pair(directory, O_RDONLY | O_DIRECTORY)}) {
    const UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, 0600));
    if (!fd || ::fsync(fd.get()) != 0) return fail_errno(path);
  }
  return ok();
}

Result<std::vector<UnsettledPair>> unsettled_pairs(const std::string& directory) {
  std::vector<UnsettledPair> found;
  for (const auto& path : TRY(paths_in(directory))) {
    const std::string file = path.filename();
    std::string_view name = file;
    if (!name.ends_with(kUnsettled)) continue;
    name.remove_suffix(kUnsettled.size());
    const auto parts = numbers_in(name);
    if (parts.size() != 2) continue;
    found.push_back(
        {path, static_cast<std::uint32_t>(parts[0]), static_cast<std::uint32_t>(parts[1])});
  }
  return found;
}

std::string base_label(std::uint32_t into) { return fmt::format("{}{}", kLabel, into); }

bool is_base_label(const std::string& label, std::uint32_t into) {
  return label == base_label(into) || label == fmt::format("{}{}", kEarlierLabel, into);
}

// --- what is damaged or gone

Result<std::vector<LostBase>> lost_bases(const std::string& directory,
                                         const std::vector<TreeInfo>& family) {
  std::vector<LostBase> lost;
  std::set<std::pair<std::uint32_t, std::uint32_t>> unsettled;
  for (const auto& pair : TRY(unsettled_pairs(directory))) unsettled.emplace(pair.into, pair.from);
  std::set<std::string> known;
  for (BaseRecord& record : TRY(base_records(directory))) {
    known.insert(record.name());
    const TreeInfo* const from = tree_of(family, record.from);
    if (from == nullptr || tree_of(family, record.into) == nullptr) continue;
    std::string why = record.damage;
    if (why.empty() && state_of(*from, record) == nullptr) {
      why = fmt::format("names state {} of {}, which was no merge's", record.state,
                        text::shown(from->name));
    }
    if (!why.empty()) lost.push_back({std::move(record), std::move(why)});
  }
  for (const TreeInfo& from : family) {
    if (from.name.empty()) continue;
    for (const SnapshotInfo& one : from.snapshots) {
      const TreeInfo* const into = one.hidden ? nullptr : merged_into(one.label, family);
      if (into == nullptr || unsettled.contains({into->number, from.number})) continue;
      BaseRecord record{.into = into->number, .from = from.number, .state = one.id.sequence};
      if (known.contains(record.name())) continue;
      record.path = fmt::format("{}/{}", directory, record.name());
      lost.push_back(
          {std::move(record), fmt::format("is gone, which told of a merge of {} into {}",
                                          text::shown(from.name), text::shown(into->name))});
    }
  }
  return lost;
}

Result<Lineage> lineage_of(const std::string& directory, const TreeInfo& tree,
                           const std::vector<BaseRecord>& records) {
  const std::string file = Lineage::file(directory, tree.number);
  Lineage lineage = TRY(Lineage::read(file));
  // What an import is told of its directory goes back without a line; the line of a rollback that
  // is under way, or that the next start ends, is to come.
  const bool is_under_way = file::exists(rollback_file(directory, tree.number));
  if (tree.name.starts_with(kHiddenTree) || is_under_way) return lineage;
  // Before a merge it is not waited for until it is on the disk.
  std::uint64_t first = Lineage::kNow;
  for (const BaseRecord& one : records) {
    if (one.from == tree.number) first = std::min(first, one.state);
    if (one.into == tree.number && one.newest) first = std::min(first, *one.newest);
  }
  for (const SnapshotInfo& one : tree.snapshots) {
    const std::uint64_t state = one.id.sequence;
    if (!one.was_replaced || state <= first || lineage.was_left(state)) continue;
    return fail(EBADMSG, "{}: does not tell of the rollback that {} (state {}) undoes", file,
                text::shown(one.label), state);
  }
  return lineage;
}

bool has_record_of(const std::vector<BaseRecord>& records, std::uint32_t tree) {
  return std::ranges::any_of(
      records, [&](const BaseRecord& one) { return one.into == tree || one.from == tree; });
}

std::vector<DamagedLineage> damaged_lineages(const std::string& directory,
                                             const std::vector<TreeInfo>& family) {
  std::vector<DamagedLineage> damaged;
  const auto records = base_records(directory).value_or(std::vector<BaseRecord>());
  for (const TreeInfo& tree : family) {
    const auto lineage = lineage_of(directory, tree, records);
    if (lineage) continue;
    const bool is_cut = lineage.error().code == EBADMSG && !has_record_of(records, tree.number);
    if (is_cut) continue;  // with the power, perhaps; the next start does without it
    std::string file = Lineage::file(directory, tree.number);
    std::string why = lineage.error().message;
    if (why.starts_with(file)) why.erase(0, file.size());
    damaged.push_back({std::move(file), tree.number, std::move(why)});
  }
  return damaged;
}

Status mend_base(const std::string& directory, const LostBase& lost,
                 const std::vector<TreeInfo>& family) {
  BaseRecord record = lost.record;
  const TreeInfo* const into = tree_of(family, record.into);
  const TreeInfo* const from = tree_of(family, record.from);
  const SnapshotInfo* const state =
      into != nullptr && from != nullptr ? state_of(*from, record) : nullptr;
  if (state == nullptr) return fail(ENODATA, "{}: of a state that is not there", record.path);
  record.newest = 0;
  for (const SnapshotInfo& one : into->snapshots) {
    if (one.time <= state->time) record.newest = std::max(*record.newest, one.id.sequence);
  }
  TRY(file::make_directories(directory, 0700));
  return file::replace(fmt::format("{}/{}", directory, record.name()), record.text());
}

}  // namespace agentfs
