// SPDX-License-Identifier: MIT
#include "kernel/merge_base_records.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <ranges>

#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"

namespace agentfs {
namespace {

constexpr std::string_view kUnsettled = ".unsettled";
constexpr std::string_view kEarlierLabel = "merged/";
constexpr std::string_view kUnknown = "-";

std::string check_of(std::string_view text) { return fmt::format("{:04x}", fnv1a(text) & 0xffffu); }

std::string with_check(const std::string& words) {
  return fmt::format("{} {}\n", words, check_of(words));
}

// Two words of a line, of which a third one, where there is one, is the check.
std::optional<std::pair<std::string_view, std::string_view>> checked(std::string_view line) {
  const auto words = text::words(line);
  if (words.size() < 2 || words.size() > 3) return std::nullopt;
  if (words.size() == 3 && words[2] != check_of(fmt::format("{} {}", words[0], words[1]))) {
    return std::nullopt;
  }
  return std::pair{words[0], words[1]};
}

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
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    found.push_back(entry.path());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return fail_errno(error.value(), directory);
  }
  std::ranges::sort(found);
  return found;
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

}  // namespace

// --- records

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
    BaseRecord record{.path = path,
                      .into = static_cast<std::uint32_t>(parts[0]),
                      .from = static_cast<std::uint32_t>(parts[1])};
    if (parts.size() == 3) record.state = parts[2];
    if (read_text(record, parts.size() == 3)) found.push_back(std::move(record));
  }
  return found;
}

Result<std::vector<std::string>> obsolete_records(const std::string& directory) {
  std::vector<std::string> found;
  for (const auto& path : TRY(paths_in(directory))) {
    if (numbers_in(path.filename().native()).size() == 4) found.push_back(path);
  }
  return found;
}

Status forget_record(const BaseRecord& record) {
  TRY(note_unsettled(std::string(text::parent_part(record.path)), record.into, record.from));
  return file::remove(record.path);
}

// --- what rollbacks leave of them

std::string Lineage::name(std::uint32_t tree) { return fmt::format("{}.rollbacks", tree); }

Result<Lineage> Lineage::read(const std::string& file) {
  Lineage lineage;
  const auto text = file::read(file);
  if (!text && text.error().code == ENOENT) return lineage;
  if (!text) return std::unexpected(text.error());
  for (const std::string_view line : text::split(*text, '\n')) {
    if (line.empty()) continue;
    const auto words = checked(line);
    const auto undo = words ? text::number<std::uint64_t>(words->first) : std::nullopt;
    const auto to = words ? text::number<std::uint64_t>(words->second) : std::nullopt;
    if (!undo || !to) return fail(EBADMSG, "{}: \"{}\" is no rollback", file, text::shown(line));
    lineage.add(*undo, *to);
  }
  return lineage;
}

Status Lineage::write(const std::string& file) const {
  std::string text;
  for (const auto& [undo, to] : rollbacks_) text += with_check(fmt::format("{} {}", undo, to));
  return text.empty() ? file::remove(file) : file::replace(file, text);
}

void Lineage::add(std::uint64_t undo, std::uint64_t to) {
  if (!rollbacks_.empty() && rollbacks_.back().first >= undo) return;  // is known
  rollbacks_.emplace_back(undo, to);
}

void Lineage::forget_before(std::uint64_t state) {
  std::erase_if(rollbacks_, [&](const auto& one) { return one.first < state; });
}

bool Lineage::has(std::uint64_t point, std::uint64_t end) const {
  for (auto one = rollbacks_.rbegin(); one != rollbacks_.rend(); ++one) {
    if (one->first >= end) continue;
    if (point > 2 * one->first) break;
    end = one->second;
  }
  return end == kNow || point <= 2 * end;
}

bool Lineage::has_state(std::uint64_t state, std::uint64_t end) const {
  return has(2 * state, end);
}

bool Lineage::has_after(std::uint64_t state, std::uint64_t end) const {
  return has(2 * state + 1, end);
}

bool holds(const BaseRecord& record, const MergedTree& one, const MergedTree& other,
           const std::pair<std::uint64_t, std::uint64_t>& ends) {
  const bool is_into_one = record.into == one.info.number;
  const auto& [into, from] = is_into_one ? std::tie(one, other) : std::tie(other, one);
  const std::uint64_t end_of_into = is_into_one ? ends.first : ends.second;
  const std::uint64_t end_of_from = is_into_one ? ends.second : ends.first;
  return record.damage.empty() && from.lineage.has_state(record.state, end_of_from) &&
         (!record.newest || into.lineage.has_after(*record.newest, end_of_into));
}

const BaseRecord* last_that_holds(const std::vector<BaseRecord>& records, const MergedTree& one,
                                  const MergedTree& other,
                                  const std::pair<std::uint64_t, std::uint64_t>& ends) {
  const BaseRecord* last = nullptr;
  std::int64_t time = 0;
  for (const BaseRecord& record : records) {
    if (!record.is_of(one.info.number, other.info.number)) continue;
    const TreeInfo& from = record.from == one.info.number ? one.info : other.info;
    const SnapshotInfo* const state = state_of(from, record);
    if (state == nullptr || !holds(record, one, other, ends)) continue;
    if (last != nullptr && state->time < time) continue;
    last = &record;
    time = state->time;
  }
  return last;
}

std::set<std::string> needed_records(const std::vector<BaseRecord>& records, const MergedTree& one,
                                     const MergedTree& other) {
  std::set<std::string> needed;
  for (const std::uint64_t end : ends_of(one.info)) {
    for (const std::uint64_t other_end : ends_of(other.info)) {
      const BaseRecord* const last = last_that_holds(records, one, other, {end, other_end});
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

std::string base_label(std::uint32_t into) { return fmt::format("base/{}", into); }

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
  for (const TreeInfo& into : family) {
    const std::string label = base_label(into.number);
    for (const TreeInfo& from : family) {
      const bool is_settled = !unsettled.contains({into.number, from.number});
      if (into.name.empty() || from.name.empty() || !is_settled) continue;
      for (const SnapshotInfo& one : from.snapshots) {
        BaseRecord record{.into = into.number, .from = from.number, .state = one.id.sequence};
        if (one.hidden || one.label != label || known.contains(record.name())) continue;
        record.path = fmt::format("{}/{}", directory, record.name());
        lost.push_back(
            {std::move(record), fmt::format("is gone, which told of a merge of {} into {}",
                                            text::shown(from.name), text::shown(into.name))});
      }
    }
  }
  return lost;
}

std::vector<std::pair<std::string, std::uint32_t>> damaged_lineages(
    const std::string& directory, const std::vector<TreeInfo>& family) {
  std::vector<std::pair<std::string, std::uint32_t>> damaged;
  for (const TreeInfo& tree : family) {
    std::string file = fmt::format("{}/{}", directory, Lineage::name(tree.number));
    if (!Lineage::read(file)) damaged.emplace_back(std::move(file), tree.number);
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
  if (state == nullptr) return fail(ENOENT, "{}: of a state that is not there", record.path);
  record.newest = 0;
  for (const SnapshotInfo& one : into->snapshots) {
    if (one.time <= state->time) record.newest = std::max(*record.newest, one.id.sequence);
  }
  return file::replace(fmt::format("{}/{}", directory, record.name()), record.text());
}

}  // namespace agentfs
