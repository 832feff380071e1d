// SPDX-License-Identifier: MIT
#include "backends/trees/forest_check.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "backends/trees/forest_lost.h"
#include "backends/trees/forest_missing.h"
#include "backends/trees/forest_open.h"
#include "base/directory.h"
#include "base/text.h"

namespace agentfs {
namespace trees {
namespace {

class ForestCheck {
 public:
  explicit ForestCheck(ForestRoom room) : room_(std::move(room)) {}

  Result<Findings> run();
  Result<std::vector<TreeInfo>> family();

 private:
  struct Unmarked {
    std::string name{};
    DirectoryKey key{};
    bool is_empty = false;
  };
  Status check_lines();
  Status check_trees();
  void check_mark(const std::string& name, const TreeMark& mark);
  void check_roots(ForestDisk::Wanted& wanted);
  void check_live(const Line& line, const std::string& name);
  // `wanted`: the states of the line that somebody reads.
  using States = std::set<std::uint64_t>;
  void check_states(const Line& line, const States& wanted);
  void check_saved(Line& line);
  // A directory and all below it; `where` is for the sentence.
  void walk(int above, const std::string& name, const std::string& where, bool is_live);
  // The names of those below that are to be looked at.
  std::vector<std::string> look(int directory, const std::string& path, const std::string& where,
                                bool is_live);
  void tell_unread();  // of what was walked
  // What a hollow directory reads, with all below it where `is_live`: nobody may read it otherwise.
  void check_source(const Source& source, const std::string& where, bool is_live);
  struct Read {
    Source source{};
    std::string where{};
  };
  Status check_read(const Read& one, std::vector<Read>* below);
  void find_lost_forks();
  void find_lost_trees();
  void problem(std::string sentence) { found_.problems.push_back(std::move(sentence)); }

  ForestDisk& disk() { return *room_.disk; }

  ForestRoom room_;
  Findings found_;
  std::vector<Unmarked> unmarked_;  // at the top
  // Of the tree that is walked, with marks that say nothing, or what is not so; a sentence each.
  std::map<std::string, std::string> unread_;
  // By live trees, looked at.
  std::set<std::tuple<std::uint32_t, std::uint64_t, SavedDirectory>> read_;
  std::size_t directories_ = 0;
  std::size_t hollow_ = 0;
  std::size_t saved_ = 0;
};

Result<Findings> ForestCheck::run() {
  if (Status place = check_place(room_, true); !place) {
    problem(place.error().message);
    return found_;
  }
  TRY(check_lines());
  TRY(check_trees());
  ForestDisk::Wanted wanted = disk().wanted();
  check_roots(wanted);
  for (const auto& [number, line] : disk().lines) {
    check_states(*line, wanted[number]);
    check_saved(*line);
    if (auto missing = tell_missing(disk(), *line)) problem(*std::move(missing));
  }
  find_lost_forks();
  find_lost_trees();
  found_.sum = fmt::format("{} trees with {} directories, {} hollow, {} saved", disk().live.size(),
                           directories_, hollow_, saved_);
  return found_;
}

Result<std::vector<TreeInfo>> ForestCheck::family() {
  TRY(check_lines());
  TRY(check_trees());
  return family_of(disk());
}

Status ForestCheck::check_lines() {
  for (const HostEntry& entry : TRY(list_directory(disk().hidden()))) {
    const auto number = text::number<std::uint32_t>(entry.name);
    if (!number) {
      found_.notes.push_back(
          fmt::format("{} among the lines of the forest is none of its", text::shown(entry.name)));
      continue;
    }
    if (auto line = Line::load(disk().hidden(), *number, disk().marks(), true)) {
      disk().lines[*number] = std::move(*line);
    } else {
      problem(line.error().message);
    }
  }
  return ok();
}

Status ForestCheck::check_trees() {
  for (const HostEntry& entry : TRY(list_directory(disk().top()))) {
    if (entry.type != S_IFDIR) continue;
    const auto mark = mark_of_tree(disk(), entry.name);
    if (!mark) {
      problem(
          fmt::format("{}: {}; it is not served", text::shown(entry.name), mark.error().message));
    } else if (*mark) {
      check_mark(entry.name, **mark);
    } else {
      const UniqueFd fd(
          ::openat(disk().top(), entry.name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
      if (!fd) return fail_errno(text::shown(entry.name));
      const auto below = list_directory(fd.get());
      unmarked_.push_back({entry.name, disk().key_of(fd.get()), below && below->empty()});
    }
  }
  return ok();
}

void ForestCheck::check_mark(const std::string& name, const TreeMark& mark) {
  const auto line = disk().lines.find(mark.line);
  if (line == disk().lines.end()) {
    problem(
        fmt::format("{}: its mark names line {} of the forest, which is not there or damaged; "
                    "it is not served",
                    text::shown(name), mark.line));
    return;
  }
  const auto [other, is_new] = disk().live.emplace(mark.line, name);
  if (!is_new) {
    problem(
        fmt::format("{} and {}: both bear the mark of line {}, so that of one is damaged; the "
                    "second is not served",
                    text::shown(other->second), text::shown(name), mark.line));
    return;
  }
  if ((mark.shown != 0) != line->second->base().has_value()) {
    problem(fmt::format("{}: its mark says that it is {}, the record of line {} that it is {}",
                        text::shown(name), mark.shown != 0 ? "a fork" : "no fork", mark.line,
                        mark.shown != 0 ? "none" : "one"));
  }
}

void ForestCheck::check_live(const Line& line, const std::string& name) {
  walk(disk().top(), name, text::shown(name), true);
  const auto known = forked_at(disk(), line);
  if (known && !reads(disk(), Spot::in(disk().top(), name), *known)) {
    problem(fmt::format("{}: its mark does not lead to what it was forked at", text::shown(name)));
  }
  for (const LostHollow& lost : find_lost_hollows(disk(), line, name)) {
    unread_.erase(lost.path);
    problem(
        fmt::format("{}: empty, and has lost the mark that says what it reads, state {}.{}; "
                    "`agentfs fsck --repair` writes the mark anew",
                    text::shown(lost.path_in(name)), lost.source.line, lost.source.sequence));
  }
  tell_unread();
}

void ForestCheck::tell_unread() {
  for (auto& [path, sentence] : unread_) problem(std::move(sentence));
  unread_.clear();
}

void ForestCheck::check_roots(ForestDisk::Wanted& wanted) {
  for (const auto& [number, name] : disk().live) check_live(*disk().lines.at(number), name);
  for (const auto& [number, line] : disk().lines) {
    const std::vector<std::string> unread = line->unread(wanted[number]);
    for (const std::uint64_t sequence : line->retired()) {
      const std::string name = Line::retired_name(sequence);
      // Given up; what it reads may have gone first.
      if (std::ranges::find(unread, name) != unread.end()) continue;
      walk(line->directory(), name, fmt::format("line {}: {}", number, name), false);
      tell_unread();
    }
  }
}

void ForestCheck::walk(int above, const std::string& name, const std::string& where, bool is_live) {
  const UniqueFd top(::openat(above, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!top) return problem(fail_errno(where).error().message);
  walk_directories(top.get(), [&](int directory, const std::string& path, std::size_t) {
    return look(directory, path, path.empty() ? where : where + "/" + text::shown(path), is_live);
  });
}

std::vector<std::string> ForestCheck::look(int directory, const std::string& path,
                                           const std::string& where, bool is_live) {
  const auto entries = directory >= 0 ? list_directory(directory) : fail_errno(where);
  if (!entries && entries.error().code == EACCES) {
    found_.notes.push_back(fmt::format("{}: may not be looked into", where));
    return {};
  }
  if (!entries) {
    problem(fmt::format("{}: {}", where, entries.error().message));
    return {};
  }
  ++directories_;
  const FileMark mark = disk().marks().file(Spot::of(directory));
  const auto source = disk().marks().hollow(Spot::of(directory), &mark);
  if (!source) {
    unread_.emplace(path,
                    where + ": its mark is damaged, or gone; what it reads is not known any more");
  } else if (*source) {
    ++hollow_;
    if (const auto other = is_live ? other_number(disk(), mark, **source) : std::nullopt) {
      unread_.emplace(path, fmt::format("{}: has number {}, and what it reads {}; one of the two "
                                        "has lost its mark, or bears another's",
                                        where, *mark.id, *other));
    }
    check_source(**source, where, is_live);
    return {};  // what a crash left in it is put over when it is filled
  }
  return directories_in(*entries);
}

void ForestCheck::check_source(const Source& source, const std::string& where, bool is_live) {
  std::vector<Read> left{{source, where}};
  while (!left.empty()) {
    const Read one = std::move(left.back());
    left.pop_back();
    const auto& [line, sequence, key] = one.source;
    if (is_live && !read_.emplace(line, sequence, SavedDirectory::of(key)).second) continue;
    if (const Status read = check_read(one, is_live ? &left : nullptr); !read) {
      problem(fmt::format("{}: {}", one.where, read.error().message));
    }
  }
}

// As one who looks there would find it.
Status ForestCheck::check_read(const Read& one, std::vector<Read>* below) {
  const auto content = disk().resolve(one.source);
  if (!content) {
    return fail(EBADMSG, "reads from what is not there: {}", content.error().message);
  }
  const Borrowed fd = TRY(disk().table().borrow(*content->directory));
  const OpenedMode opened(::geteuid() != 0, fd.get());
  for (const HostEntry& entry : TRY(list_directory(fd.get()))) {
    if (below == nullptr || entry.type != S_IFDIR) continue;
    std::string where = fmt::format("{}/{}", one.where, text::shown(entry.name));
    if (auto source = disk().source_of(*content, fd.get(), entry.name)) {
      below->push_back({std::move(*source), std::move(where)});
    } else {
      problem(fmt::format("{}: {}", where, source.error().message));
    }
  }
  return ok();
}

// Each with all in it, as who looks into a checkpoint would find it. Without handles each directory
// would be looked for in the whole tree.
void ForestCheck::check_states(const Line& line, const States& wanted) {
  constexpr std::size_t kMostRead = 500'000;
  if (!disk().table().has_file_handles()) return;
  for (const auto& [sequence, state] : line.snapshots()) {
    if (!wanted.contains(sequence)) continue;
    const std::string where = fmt::format("line {}: state {} ({})", line.number(), sequence,
                                          text::shown(state.info.label));
    if (read_.size() < kMostRead) {
      check_source({line.number(), sequence, state.root}, where, true);
    } else {
      found_.notes.push_back(
          fmt::format("{}: not looked into, after {} directories of states", where, kMostRead));
    }
  }
}

void ForestCheck::check_saved(Line& line) {
  for (const auto& [directory, versions] : line.saved().all()) {
    for (const std::uint64_t version : versions) {
      const std::string name = SavedState{directory, version}.name();
      const std::string where = fmt::format("line {}: {}", line.number(), name);
      const UniqueFd fd(::openat(line.directory(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
      const OpenedMode opened(fd && ::geteuid() != 0, fd.get());
      const auto entries = fd ? list_directory(fd.get()) : fail_errno(name);
      if (!entries) {
        problem(fmt::format("{}: {}", where, entries.error().message));
        continue;
      }
      ++saved_;
      if (is_amiss(disk().marks(), fd.get(), *entries)) {
        problem(
            fmt::format("{}: has not the entries that it was kept with: some are gone, or others "
                        "came, and so in the checkpoints that read it",
                        where));
      }
      for (const HostEntry& entry : *entries) {
        if (entry.type != S_IFDIR) continue;
        const auto mark = disk().marks().hollow(Spot::in(fd.get(), entry.name));
        if (mark && *mark) continue;  // what it names may be gone where no state reads it
        problem(fmt::format("{}: {} has lost its mark; what it was at that time is not known",
                            where, text::shown(entry.name)));
      }
    }
  }
}

// A fork without its tree that was not dropped has lost its mark; then a directory lies there
// empty. It is known for one by the label of the state it hangs on, or by every other mark being
// gone too.
void ForestCheck::find_lost_forks() {
  std::vector<std::string> lost;
  for (const auto& [number, line] : disk().lines) {
    const auto base = line->base();
    const bool is_over = line->was_dropped() || !line->retired().empty();
    if (!base || disk().live.contains(number) || is_over) continue;
    const auto parent = disk().lines.find(base->tree);
    const auto* state =
        parent == disk().lines.end() ? nullptr : parent->second->find(base->sequence);
    lost.push_back(state != nullptr ? state->info.label : "");
  }
  if (lost.empty()) return;
  for (const auto& [name, key, is_empty] : unmarked_) {
    const bool has_its_name = std::ranges::find(lost, name) != lost.end();
    const bool is_lost = (is_empty && (disk().live.empty() || has_its_name)) ||
                         reads_from(disk(), disk().top(), name);
    if (!is_lost) continue;
    problem(
        fmt::format("{}: {}, without a mark, and {} recorded {} no tree: a fork, as it seems, "
                    "of a state that was copied without extended attributes; before such a copy "
                    "`agentfs fsck --solidify` makes every fork complete",
                    text::shown(name), is_empty ? "empty" : "reads from other trees", lost.size(),
                    lost.size() == 1 ? "fork has" : "forks have"));
  }
}

// A tree whose snapshots name a directory that bears no mark, or one that is nowhere. Since its
// last rollback a tree is another directory, which reads from what it was.
void ForestCheck::find_lost_trees() {
  for (const auto& [number, line] : disk().lines) {
    const bool is_over = line->was_dropped() || line->snapshots().empty();
    if (is_over || disk().live.contains(number)) continue;
    const auto root = std::ranges::find_if(unmarked_, [&](const Unmarked& each) {
      return names_root(*line, each.key) ||
             reads_from(disk(), disk().top(), each.name, line->number());
    });
    if (root != unmarked_.end()) {
      problem(
          fmt::format("{}: has lost its mark, and with it its checkpoints and merges; snapshots "
                      "of line {} name it, so `agentfs fsck --repair` writes the mark anew",
                      text::shown(root->name), number));
    } else {
      found_.notes.push_back(fmt::format(
          "line {}: has {} snapshots, the newest named {}, and no tree: that was removed, or lost "
          "its mark, past the daemon",
          number, line->snapshots().size(),
          text::shown(line->snapshots().rbegin()->second.info.label)));
    }
  }
}

}  // namespace
}  // namespace trees

Result<Findings> check_forest(const std::string& directory, const std::string& hidden,
                              const ForestOptions& options) {
  if (!file::exists(hidden)) return trees::check_without_records(directory);
  return trees::ForestCheck(TRY(trees::open_room(directory, hidden, options))).run();
}

Result<std::vector<TreeInfo>> look_at_family(const std::string& directory,
                                             const std::string& hidden,
                                             const ForestOptions& options) {
  if (!file::exists(hidden)) return std::vector<TreeInfo>();
  return trees::ForestCheck(TRY(trees::open_room(directory, hidden, options))).family();
}

}  // namespace agentfs
