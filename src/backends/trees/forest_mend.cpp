// SPDX-License-Identifier: MIT
// Marks of roots, written anew where the records of the forest leave one possible value.
#include <unistd.h>

#include <algorithm>
#include <map>

#include "backends/trees/forest_check.h"
#include "backends/trees/forest_lost.h"
#include "backends/trees/forest_missing.h"
#include "backends/trees/forest_open.h"
#include "base/text.h"

namespace agentfs {
namespace trees {
namespace {

class MarkMender {
 public:
  explicit MarkMender(ForestRoom room) : room_(std::move(room)) {}

  Result<std::vector<std::string>> run();

 private:
  Status look();
  Status look_at(const std::string& name);
  Status mend_trees();
  bool is_lost(const Line& line);
  Status mend_rolled_back();
  Status mend_hollow(const Line& line, const std::string& name);
  Status mend_rolls(Line& line);
  Status set_tree(const std::string& name, const Line& line, std::string_view why);
  void tell_read(const std::string& path, const Source& source);

  ForestDisk& disk() { return *room_.disk; }

  ForestRoom room_;
  bool is_certain_ = true;  // every line can be read, and no two trees claim one
  std::map<std::uint32_t, std::string> owners_;  // the directory that a line's snapshots name
  std::map<std::string, std::uint32_t> marked_;  // what its mark says; 0: unreadable or gone
  std::vector<std::string> unmarked_;            // of no snapshot that names its root
  std::vector<std::string> told_;
};

Result<std::vector<std::string>> MarkMender::run() {
  if (!check_place(room_, true)) return told_;
  TRY(look());
  TRY(mend_trees());
  TRY(mend_rolled_back());
  const auto live = disk().live;
  for (const auto& [number, name] : live) TRY(mend_hollow(*disk().lines.at(number), name));
  for (const auto& [number, line] : disk().lines) TRY(mend_rolls(*line));
  return told_;
}

Status MarkMender::look() {
  for (const HostEntry& entry : TRY(list_directory(disk().hidden()))) {
    const auto number = text::number<std::uint32_t>(entry.name);
    if (!number) continue;
    auto line = Line::load(disk().hidden(), *number, disk().marks(), true);
    if (line) disk().lines[*number] = std::move(*line);
    is_certain_ = is_certain_ && disk().lines.contains(*number);
  }
  for (const HostEntry& entry : TRY(list_directory(disk().top()))) {
    if (entry.type == S_IFDIR) TRY(look_at(entry.name));
  }
  return ok();
}

Status MarkMender::look_at(const std::string& name) {
  const UniqueFd fd(::openat(disk().top(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return fail_errno(text::shown(name));
  const auto mark = mark_of_tree(disk(), name);
  if (!mark && mark.error().code != EBADMSG) return std::unexpected(mark.error());
  const DirectoryKey key = disk().key_of(fd.get());
  const bool is_marked = !mark || *mark;
  for (const auto& [number, line] : disk().lines) {
    if (names_root(*line, key) && (is_marked || !line->was_dropped())) owners_[number] = name;
  }
  const bool is_owner =
      std::ranges::any_of(owners_, [&](const auto& owner) { return owner.second == name; });
  if (is_marked || is_owner) marked_[name] = mark && *mark ? (*mark)->line : 0;
  if (!is_marked && !is_owner) unmarked_.push_back(name);
  return ok();
}

// Whose root a snapshot names, that one's the line is, whatever a mark says. Of those left, a mark
// is believed that no other one contradicts; and one directory without takes the one line without:
// a dropped tree's line would be a second one.
Status MarkMender::mend_trees() {
  for (const auto& [number, name] : owners_) {
    if (marked_.at(name) != number) {
      TRY(set_tree(name, *disk().lines.at(number), "a snapshot names this directory"));
    }
    disk().live[number] = name;
    marked_.erase(name);
  }
  std::vector<std::string> left;
  for (const auto& [name, number] : marked_) {
    if (!disk().lines.contains(number) || owners_.contains(number)) {
      left.push_back(name);
    } else if (!disk().live.emplace(number, name).second) {
      is_certain_ = false;  // of two that say the same, one lies
    }
  }
  const auto is_free = [&](const auto& line) { return !disk().live.contains(line.first); };
  if (left.size() != 1 || !is_certain_ || std::ranges::count_if(disk().lines, is_free) != 1) {
    return ok();
  }
  return set_tree(left.front(), *std::ranges::find_if(disk().lines, is_free)->second,
                  "no other line is without its tree");
}

bool MarkMender::is_lost(const Line& line) {
  return !disk().live.contains(line.number()) && !line.was_dropped();
}

// Forks read from there, too: where one is lost as well, nobody knows which is which.
Status MarkMender::mend_rolled_back() {
  for (const auto& [number, line] : disk().lines) {
    const bool has_lost_forks = std::ranges::any_of(disk().lines, [&](const auto& other) {
      return other.second->base() && other.second->base()->tree == number && is_lost(*other.second);
    });
    if (!is_lost(*line) || has_lost_forks) continue;
    std::vector<std::string> found;
    std::ranges::copy_if(unmarked_, std::back_inserter(found), [&](const std::string& name) {
      return reads_from(disk(), disk().top(), name, number);
    });
    if (found.size() == 1) TRY(set_tree(found.front(), *line, "it reads from states of this line"));
  }
  return ok();
}

Status MarkMender::set_tree(const std::string& name, const Line& line, std::string_view why) {
  const std::uint32_t shown = line.base() ? line.number() : 0;
  TRY(disk().marks().set_tree(Spot::in(disk().top(), name), {line.number(), shown}));
  disk().live[line.number()] = name;
  told_.push_back(fmt::format("{}: bears the mark of line {} again: {}", text::shown(name),
                              line.number(), why));
  return ok();
}

Status MarkMender::mend_hollow(const Line& line, const std::string& name) {
  const Spot spot = Spot::in(disk().top(), name);
  const auto known = forked_at(disk(), line);
  if (known && !reads(disk(), spot, *known)) {
    TRY(disk().marks().set_hollow(spot, known->source));
    tell_read(name, known->source);
  }
  for (const LostHollow& lost : find_lost_hollows(disk(), line, name)) {
    TRY(disk().marks().set_hollow(Spot::in(disk().top(), lost.path_in(name)), lost.source));
    tell_read(lost.path_in(name), lost.source);
  }
  return ok();
}

// What is gone does not come back: what there is, is all there is from now on.
Status MarkMender::mend_rolls(Line& line) {
  if (auto missing = tell_missing(disk(), line)) {
    TRY(line.roll().accept());
    told_.push_back(fmt::format("{}; without it from now on", *missing));
  }
  for (const auto& [directory, versions] : line.saved().all()) {
    for (const std::uint64_t version : versions) {
      const std::string name = SavedState{directory, version}.name();
      const UniqueFd fd(::openat(line.directory(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
      const OpenedMode opened(fd && ::geteuid() != 0, fd.get());
      const auto entries = fd ? list_directory(fd.get()) : fail_errno(name);
      if (!entries || !is_amiss(disk().marks(), fd.get(), *entries)) continue;
      FileMark mark = disk().marks().file(Spot::of(fd.get()));
      mark.roll.reset();
      disk().marks().set_file(Spot::of(fd.get()), mark);
      told_.push_back(
          fmt::format("line {}: {} is kept with the entries that it has", line.number(), name));
    }
  }
  return ok();
}

void MarkMender::tell_read(const std::string& path, const Source& source) {
  told_.push_back(fmt::format("{}: reads again what it was to read, state {}.{}", text::shown(path),
                              source.line, source.sequence));
}

}  // namespace
}  // namespace trees

Result<std::vector<std::string>> mend_forest_marks(const std::string& directory,
                                                   const std::string& hidden,
                                                   const ForestOptions& options) {
  if (!file::exists(hidden)) return std::vector<std::string>();
  return trees::MarkMender(TRY(trees::open_room(directory, hidden, options))).run();
}

}  // namespace agentfs
