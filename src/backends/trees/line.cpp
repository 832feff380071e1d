// SPDX-License-Identifier: MIT
#include "backends/trees/line.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iterator>

#include "backends/trees/disk_files.h"
#include "base/directory.h"
#include "base/text.h"

namespace agentfs::trees {
namespace {

std::string snapshot_name(std::uint64_t sequence, bool hidden) {
  return fmt::format("{}.{}", hidden ? "hidden" : "snap", sequence);
}

// Labels may be any text that fits a link beside the rest.
constexpr std::size_t kLongestLabel = 1024;

// A link may lead so far, and few lines have more to tell.
constexpr std::size_t kMostSources = 100;

std::string to_text(const std::set<SnapshotId>& sources) {
  std::string text;
  for (const SnapshotId source : sources) {
    text += fmt::format("{}{}.{}", text.empty() ? "" : " ", source.tree, source.sequence);
  }
  return text;
}

std::optional<std::set<SnapshotId>> sources_in(std::string_view text) {
  std::set<SnapshotId> sources;
  for (const std::string_view word : text::split(text, ' ')) {
    const auto parts = text::split(word, '.');
    const auto tree = text::number<std::uint32_t>(parts[0]);
    const auto sequence = parts.size() == 2 ? text::number<std::uint64_t>(parts[1]) : std::nullopt;
    if (!tree || !sequence) return std::nullopt;
    sources.insert({*tree, *sequence});
  }
  return sources;
}

constexpr char kLeaving[] = "leaving.0";

bool comes_and_goes(std::string_view name) {
  return name.starts_with("new.") || name.starts_with("moving.") || name == kLeaving;
}

Status bad_entry(std::uint32_t line, const std::string& name) {
  return fail(EBADMSG, "line {} of the forest: {}: not a record this version knows", line,
              text::shown(name));
}

}  // namespace

Result<std::shared_ptr<Line>> Line::load(int lines, std::uint32_t number, const Marks& marks,
                                         bool look_only) {
  const std::string name = fmt::format("{}", number);
  UniqueFd directory(::openat(lines, name.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory && errno == ENOTDIR) {
    return fail(EBADMSG, "line {} of the forest: is no directory", number);
  }
  if (!directory) return fail_errno(fmt::format("line {} of the forest", number));
  auto line = std::make_shared<Line>(number, std::move(directory), marks);
  TRY(line->read(look_only));
  return line;
}

Result<std::shared_ptr<Line>> Line::ensure(int lines, std::uint32_t number, const Marks& marks) {
  const std::string name = fmt::format("{}", number);
  if (::mkdirat(lines, name.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail_errno(fmt::format("line {} of the forest", number));
  }
  return load(lines, number, marks);
}

Status Line::read(bool look_only) {
  std::uint64_t there = 0;
  for (const HostEntry& entry : TRY(list_directory(directory_.get()))) {
    TRY(read_entry(entry.name, look_only));
    if (!comes_and_goes(entry.name)) there ^= count_of(entry.name);
  }
  roll_.read(directory_.get(), there);
  if (!look_only) roll_.settle();
  return ok();
}

Status Line::change(std::uint64_t names, const std::function<Status()>& make) {
  TRY(roll_.begin(names));
  TRY(make());
  roll_.end();
  return ok();
}

Status Line::make_record(const std::string& name, const std::string& target) {
  return change(count_of(name), [&]() -> Status {
    if (::symlinkat(target.c_str(), directory_.get(), name.c_str()) == 0) return ok();
    return fail_errno(name);
  });
}

Status Line::remove_record(const std::string& name) {
  return change(count_of(name), [&]() -> Status {
    if (::unlinkat(directory_.get(), name.c_str(), 0) == 0) return ok();
    return fail_errno(name);
  });
}

Status Line::read_entry(const std::string& name, bool look_only) {
  if (const auto state = SavedState::parse(name)) {
    saved_.add(*state);
    return ok();
  }
  const auto parts = text::split(name, '.');
  const auto first = text::number<std::uint64_t>(parts.size() > 1 ? parts[1] : "");
  const auto second = text::number<std::uint64_t>(parts.size() > 2 ? parts[2] : "");
  if (!first) return bad_entry(number_, name);
  if (name == kLeaving) return read_leaving();
  if (parts[0] == "new") return look_only ? ok() : remove_whole(directory_.get(), name);
  if (parts[0] == "snap" || parts[0] == "hidden") {
    return read_snapshot(name, *first, parts[0] == "hidden");
  }
  if (parts[0] == "retired") {
    retired_.insert(*first);
  } else if (parts[0] == "dropped") {
    dropped_ = true;
  } else if (parts[0] == "moving") {
    moving_.push_back(*first);
  } else if (parts[0] == "source" && second) {
    source_records_[name] = {{static_cast<std::uint32_t>(*first), *second}};
    sources_.merge(std::set(source_records_[name]));
  } else if (parts[0] == "sources") {
    const auto target = link_target(directory_.get(), name);
    if (!target) return fail_errno(text::shown(name));
    auto told = sources_in(*target);
    if (!told) return bad_entry(number_, name);
    source_records_[name] = *told;
    sources_.merge(*told);
  } else if (parts[0] == "base" && second) {
    base_ = SnapshotId{static_cast<std::uint32_t>(*first), *second};
  } else {
    return bad_entry(number_, name);
  }
  return ok();
}

Status Line::read_leaving() {
  const auto entries = TRY(list_directory(TRY(leaving_room()).get()));
  if (!entries.empty()) leaving_ = entries.front().name;
  return ok();
}

Status Line::read_snapshot(const std::string& name, std::uint64_t sequence, bool hidden) {
  const auto target = link_target(directory_.get(), name);
  if (!target) return fail_errno(text::shown(name));
  const std::string_view text(*target);
  const auto words = text::split(text, ' ');
  if (words.size() < 6) return bad_entry(number_, name);
  const auto shown = text::number<std::uint32_t>(words[0]);
  const auto time = text::number<std::int64_t>(words[1]);
  auto key = key_from(words[2], words[3], words[4]);
  if (!shown || !time || !key) return bad_entry(number_, name);
  const auto start = static_cast<std::size_t>(words[5].data() - text.data());
  snapshots_[sequence] = {.info = {.id = {number_, sequence},
                                   .label = std::string(text.substr(start)),
                                   .time = *time,
                                   .hidden = hidden},
                          .shown = *shown,
                          .root = std::move(*key)};
  return ok();
}

const Line::Snapshot* Line::find(std::uint64_t sequence) const {
  const auto found = snapshots_.find(sequence);
  return found == snapshots_.end() ? nullptr : &found->second;
}

Result<SnapshotId> Line::add(Snapshot snapshot) {
  const std::uint64_t sequence = newest() + 1;
  SnapshotInfo& info = snapshot.info;
  info.id = {number_, sequence};
  if (info.label.size() > kLongestLabel || info.label.find('\0') != std::string::npos) {
    return fail(EINVAL, "a label of {} bytes; up to {} without a NUL can be kept",
                info.label.size(), kLongestLabel);
  }
  const std::string target =
      fmt::format("{} {} {} {}", snapshot.shown, info.time, to_text(snapshot.root), info.label);
  const std::string name = snapshot_name(sequence, info.hidden);
  TRY(make_record(name, target));
  touched = false;
  {
    const Lock lock(mutex_);
    made_.clear();
  }
  return snapshots_.emplace(sequence, std::move(snapshot)).first->second.info.id;
}

Status Line::hide(std::uint64_t sequence) {
  const auto found = snapshots_.find(sequence);
  if (found == snapshots_.end() || found->second.info.hidden) return ok();
  const std::string name = snapshot_name(sequence, false);
  const std::string hidden = snapshot_name(sequence, true);
  TRY(change(count_of(name) ^ count_of(hidden), [&]() -> Status {
    const int room = directory_.get();
    return ::renameat(room, name.c_str(), room, hidden.c_str()) == 0 ? ok() : fail_errno(name);
  }));
  found->second.info.hidden = true;
  return ok();
}

Status Line::remove(std::uint64_t sequence) {
  const std::string name = snapshot_name(sequence, true);
  if (sequence == newest()) return ok();
  TRY(remove_record(name));
  snapshots_.erase(sequence);
  return ok();
}

std::string Line::name_for(const std::set<SnapshotId>& told) const {
  if (told.size() == 1) {
    return fmt::format("source.{}.{}", told.begin()->tree, told.begin()->sequence);
  }
  std::size_t number = 1;
  while (source_records_.contains(fmt::format("sources.{}", number))) ++number;
  return fmt::format("sources.{}", number);
}

Status Line::add_sources(const std::set<SnapshotId>& added) {
  std::set<SnapshotId> left;
  std::ranges::set_difference(added, sources_, std::inserter(left, left.end()));
  while (!left.empty()) {
    std::set<SnapshotId> told;
    while (!left.empty() && told.size() < kMostSources) told.insert(left.extract(left.begin()));
    const std::string name = name_for(told);
    TRY(make_record(name, told.size() == 1 ? "-" : to_text(told)));
    source_records_[name] = told;
    sources_.merge(told);
  }
  return ok();
}

// The name stays, and with it the roll.
Status Line::change_sources(const std::string& name, const std::set<SnapshotId>& told) {
  const std::string fresh = fresh_name();
  const int room = directory_.get();
  if (::symlinkat(to_text(told).c_str(), room, fresh.c_str()) != 0) return fail_errno(name);
  if (::renameat(room, fresh.c_str(), room, name.c_str()) != 0) return fail_errno(name);
  return ok();
}

Status Line::set_base(SnapshotId base) {
  const std::string name = fmt::format("base.{}.{}", base.tree, base.sequence);
  TRY(make_record(name));
  base_ = base;
  return ok();
}

Status Line::note_dropped() {
  if (dropped_) return ok();
  TRY(make_record("dropped.0"));
  dropped_ = true;
  return ok();
}

Status Line::remove_retired(std::uint64_t sequence) {
  const std::string name = retired_name(sequence);
  return forget(name, [&] { return remove_whole(directory_.get(), name); });
}

Status Line::retire(std::uint64_t sequence, const std::function<Status()>& move) {
  TRY(change(count_of(retired_name(sequence)), move));
  retired_.insert(sequence);
  return ok();
}

Status Line::remove_sources() { return remove_sources_but({}); }

Status Line::remove_sources_but(const std::set<SnapshotId>& kept) {
  for (auto record = source_records_.begin(); record != source_records_.end();) {
    auto& [name, told] = *record;
    std::set<SnapshotId> left;
    std::ranges::set_intersection(told, kept, std::inserter(left, left.end()));
    if (left.empty()) {
      TRY(remove_record(name));
    } else if (left.size() != told.size()) {
      TRY(change_sources(name, left));
    }
    for (const SnapshotId source : told) {
      if (!left.contains(source)) sources_.erase(source);
    }
    told = std::move(left);
    record = told.empty() ? source_records_.erase(record) : std::next(record);
  }
  return ok();
}

bool Line::was_made(const DirectoryKey& directory) const {
  const Lock lock(mutex_);
  return made_.contains(SavedDirectory::of(directory)) || made_.contains({directory.inode, 0});
}

void Line::made(const SavedDirectory& directory) {
  const Lock lock(mutex_);
  made_.insert(directory);
}

void Line::not_made(ino_t directory) {
  const Lock lock(mutex_);
  made_.erase(made_.lower_bound({directory, 0}), made_.lower_bound({directory + 1, 0}));
}

Result<UniqueFd> Line::leaving_room() const {
  UniqueFd room(::openat(directory_.get(), kLeaving, O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!room) return fail_errno(kLeaving);
  return room;
}

Status Line::leave(int top, const std::string& name, int spares) {
  TRY(make_directory(directory_.get(), kLeaving, spares));
  const UniqueFd to = TRY(leaving_room());
  if (::renameat(top, name.c_str(), to.get(), name.c_str()) != 0) {
    return fail_errno(text::shown(name));
  }
  leaving_ = name;
  return ok();
}

Status Line::come_back(int top) {
  const UniqueFd from = TRY(leaving_room());
  const char* const name = leaving_->c_str();
  if (::renameat2(from.get(), name, top, name, RENAME_NOREPLACE) != 0) {
    return fail_errno(text::shown(*leaving_));
  }
  return end_leaving();
}

Status Line::end_leaving() {
  leaving_.reset();
  if (::unlinkat(directory_.get(), kLeaving, AT_REMOVEDIR) == 0) return ok();
  return fail_errno(kLeaving);
}

std::string Line::retired_name(std::uint64_t sequence) {
  return fmt::format("retired.{}", sequence);
}

Status Line::keep(const DirectoryKey& directory, const std::string& fresh) {
  const SavedState state{SavedDirectory::of(directory), newest()};
  const std::string name = state.name();
  TRY(change(count_of(name), [&]() -> Status {
    const int room = directory_.get();
    return ::renameat(room, fresh.c_str(), room, name.c_str()) == 0 ? ok() : fail_errno(name);
  }));
  saved_.add(state);
  return ok();
}

// A saved directory is read by the states after the one that was saved before it.
std::vector<std::string> Line::unread(const std::set<std::uint64_t>& wanted) const {
  const auto reads = [&](std::uint64_t after, std::uint64_t until) {
    const auto first = wanted.upper_bound(after);
    return first != wanted.end() && *first <= until;
  };
  std::vector<std::string> names;
  for (const auto& [directory, versions] : saved_.all()) {
    std::uint64_t previous = 0;
    for (const std::uint64_t version : versions) {
      if (!reads(previous, version)) names.push_back(SavedState{directory, version}.name());
      previous = version;
    }
  }
  std::uint64_t previous = 0;
  for (const std::uint64_t sequence : retired_) {
    if (!reads(previous, sequence)) names.push_back(retired_name(sequence));
    previous = sequence;
  }
  return names;
}

Status Line::forget(const std::string& entry, const std::function<Status()>& remove) {
  TRY(change(count_of(entry), remove));
  if (const auto state = SavedState::parse(entry)) {
    saved_.remove(*state);
    // Nobody reads it, so nobody would read another one, and no fork is to hang on this state:
    // files of it may have been found free to change meanwhile, and must not be linked again.
    if (state->sequence != newest()) return ok();
    made(state->directory);
    touched = true;
    return ok();
  }
  const auto parts = text::split(entry, '.');
  retired_.erase(text::number<std::uint64_t>(parts[1]).value_or(0));
  return ok();
}

}  // namespace agentfs::trees
