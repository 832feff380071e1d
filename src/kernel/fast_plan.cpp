// SPDX-License-Identifier: MIT
// What a fold does where others have changed the same paths, and how it is told.
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/copy.h"
#include "base/nanoseconds.h"
#include "base/text.h"
#include "kernel/fast_path.h"
#include "kernel/fold.h"
#include "kernel/history_keeper.h"
#include "kernel/journal.h"
#include "kernel/kernel.h"
#include "kernel/kinds.h"
#include "kernel/merge_rows.h"
#include "kernel/paths.h"
#include "kernel/refused_writes.h"

namespace agentfs {
namespace {

constexpr int kMostMerges = 5;  // of one text, while others go on changing it

// What the host's caches and watchers are told of a change.
void add_events(const std::string& root, const FoldChange& change, std::vector<TreeEvent>& events) {
  using Kind = TreeEvent::Kind;
  const auto at = [&](const std::string& path) {
    return path.empty() ? root : fmt::format("{}/{}", root, path);
  };
  const mode_t type = change.is_directory ? S_IFDIR : S_IFREG;
  if (change.operation == "remove" || change.operation == "rename") {
    events.push_back({Kind::removed, at(change.path), type});
    if (!change.other.empty()) events.push_back({Kind::made, at(change.other), 0});
    return;
  }
  const Kind kind = change.operation == "attributes" ? Kind::attributes
                    : change.operation == "write"    ? Kind::written
                                                     : Kind::made;
  events.push_back({kind, at(change.path), 0});
}

std::vector<TreeEvent> events_of(const FastRun& run) {
  std::vector<TreeEvent> events;
  for (const FoldChange& change : run.changes) {
    if (!change.is_inner) add_events(run.root, change, events);
  }
  return events;
}

// What agentfs-commit writes below any `.git`.
bool is_of_commits(const std::string& path) {
  const std::string below = "/" + path;
  return below.contains("/.git/objects/") || below.contains("/.git/refs/agentfs/");
}

bool is_younger(const std::string& host_path, const FastRun& run) {
  struct stat now{};
  const bool is_file = ::lstat(host_path.c_str(), &now) == 0 && !S_ISDIR(now.st_mode);
  return is_file && run.began != 0 && nanoseconds_of(now.st_ctim) >= run.began;
}

// The row of the last change, of attributes as well; 0 where none is known.
std::uint64_t last_change(const Fold& fold, const std::string& root, const std::string& path) {
  const WorkspaceChanges* const known = fold.find_workspace(paths::name_of(root));
  if (known == nullptr) return 0;
  const auto found = known->changed.all().find(path);
  return found == known->changed.all().end() ? 0 : found->second.sequence.value;
}

}  // namespace

// What was removed has no generation any more, but what it held is kept since; attributes have
// none, but a row. The daemon's own commits have neither.
bool FastPath::is_changed(const FastRun& run, const std::string& path) const {
  bool changed = false;
  const std::string whole = path.empty() ? run.root : fmt::format("{}/{}", run.root, path);
  kernel_.look_at_fold([&](const Fold& fold) {
    changed = fold.generations().of(whole).number.value > run.number ||
              last_change(fold, run.root, path) > run.number;
    if (changed || fold.history().last() == run.version) return;
    const auto versions = fold.history().versions(whole);
    changed = !versions.empty() && versions.back()->number > run.version;
  });
  return changed || (is_of_commits(path) && is_younger(left_of(run).lower + "/" + path, run));
}

// Plans, merges what can be, and plans again with what was merged, which others may have changed
// meanwhile; keeps aside what is left.
Result<FoldPlan> FastPath::plan(const Caller& caller, const FastRun& run, const TreeSide& ours,
                                FastEnd& end) {
  const auto writing = kernel_.paths().open_for_writing(run.root);
  std::map<std::string, struct stat> merged;  // ours, as it was when it was read for that
  const auto changed = [&](const std::string& path) {
    const std::string whole = fmt::format("{}/{}", run.root, path);
    const auto known = merged.find(path);
    if (known == merged.end()) {
      return is_changed(run, path) || std::ranges::find(writing, whole) != writing.end();
    }
    struct stat now{};
    const std::string lower = fmt::format("{}/{}", left_of(run).lower, path);
    return ::lstat(lower.c_str(), &now) != 0 || !is_as_it_was(known->second, now);
  };
  const OverlayFolder& folder = *kernel_.parts().folder;
  FoldPlan plan = TRY(folder.plan(ours, left_of(run), changed));
  if (run.dry_run) return plan;
  std::set<std::string> given_up;  // those that cannot be merged
  for (int round = 1; round <= kMostMerges; ++round) {
    bool has_merged = false;
    for (const FoldConflict& conflict : plan.conflicts) {
      if (!conflict.is_text || given_up.contains(conflict.path)) continue;
      const auto read = TRY(merge(run, conflict));
      if (read) merged.insert_or_assign(conflict.path, *read);
      if (!read) given_up.insert(conflict.path);
      has_merged |= read.has_value();
    }
    if (!has_merged) break;
    plan = TRY(folder.plan(ours, left_of(run), changed));
  }
  for (const FoldConflict& conflict : plan.conflicts) refuse(caller, run, conflict, end);
  end.conflicts = plan.conflicts.size();
  return plan;
}

void FastPath::refuse(const Caller& caller, const FastRun& run, const FoldConflict& conflict,
                      FastEnd& end) const {
  const std::string path = fmt::format("{}/{}", run.root, conflict.path);
  const std::string shown = text::shown(path);
  if (conflict.upper.empty()) {
    end.lines += fmt::format(
        "# conflict: {}: was changed by others while the command ran, which removed or linked it; "
        "it stays\n",
        shown);
    return;
  }
  const std::string reason = fmt::format(
      "{}: was changed by others while the command ran; it stays as they have it", shown);
  auto theirs = made_by(run, conflict);
  if (theirs) {
    const auto kept = kernel_.refused_writes().keep(
        caller,
        {.path = path, .reason = reason, .theirs = theirs->text, .base = base_of(run, path)});
    if (kept) {
      end.lines += fmt::format(
          "# conflict: {} (what the command wrote is kept as /sys/conflicts/{}/theirs)\n", reason,
          *kept);
      return;
    }
    theirs = std::unexpected(kept.error());
  }
  // Nothing is lost: the upper directory stays.
  end.how = "kept";
  end.lines += fmt::format("# conflict: {} (what the command made is kept below {}: {})\n", reason,
                           directory_of(run.number), theirs.error().message);
}

std::string FastPath::shown(const FoldPlan& plan) {
  std::string lines;
  for (const FoldChange& change : plan.changes) {
    if (change.is_silent) continue;
    const char letter = change.operation == "remove"       ? 'D'
                        : change.operation == "rename"     ? 'R'
                        : change.operation == "write"      ? 'M'
                        : change.operation == "attributes" ? 'M'
                                                           : 'A';
    lines += fmt::format("{}\t{}", letter, text::shown(change.path));
    if (!change.other.empty()) lines += fmt::format("\t{}", text::shown(change.other));
    lines += '\n';
  }
  for (const FoldConflict& conflict : plan.conflicts) {
    lines += fmt::format("# conflict: {}\n", text::shown(conflict.path));
  }
  return lines;
}

// What the mount shows comes before what is told of it, which may fail.
// Who opens a file that was replaced gets the new one from here on.
void FastPath::show(const FastRun& run) { kernel_.paths().refresh(events_of(run)); }

// Who looked meanwhile has seen names that are gone again, or none where there is one again.
void FastPath::show_returned(const FastRun& run) {
  kernel_.paths().refresh(as_undone(events_of(run)));
}

// The attributes of directories have their values only now.
void FastPath::show_dressed(const FastRun& run, bool has_links) {
  std::set<std::string> dressed;
  const auto at = [&](std::string_view path) {
    return path.empty() ? run.root : fmt::format("{}/{}", run.root, path);
  };
  for (const FoldChange& change : run.changes) {
    dressed.insert(at(text::parent_part(change.path)));
    if (!change.other.empty()) dressed.insert(at(text::parent_part(change.other)));
    const bool is_dressed = change.operation == "attributes";
    const bool is_there = change.is_directory && change.operation != "remove";
    if (is_dressed || is_there) dressed.insert(at(change.path));
  }
  std::vector<TreeEvent> events;
  for (const std::string& path : dressed) {
    events.push_back({TreeEvent::Kind::attributes, path, S_IFDIR});
  }
  for (const FoldChange& change : run.changes) {
    const bool is_file = change.operation == "write" || change.operation == "create";
    if (has_links && is_file) events.push_back({TreeEvent::Kind::attributes, at(change.path), 0});
  }
  kernel_.paths().refresh(events);
}

Status FastPath::tell(const Caller& caller, const FastRun& run, std::size_t told) {
  for (const FoldChange& change : run.changes) {
    if (change.is_silent) continue;
    if (told > 0) {
      --told;
      continue;
    }
    TreeChange row{
        .operation = change.operation,
        .path = change.path.empty() ? run.root : fmt::format("{}/{}", run.root, change.path),
        .bytes = change.bytes};
    if (!change.other.empty()) row.other = fmt::format("{}/{}", run.root, change.other);
    row.details = {{"fold", run.number}};
    if (change.is_exchange) row.details.emplace_back("exchange", true);
    TRY(kernel_.record_change(caller, row));
  }
  return ok();
}

// Rows of changes name the fold by the record of the command's beginning, its end does likewise.
Result<FastPath::Told> FastPath::told_of(const FastRun& run) const {
  Told told;
  const auto look = [&](const Record& record, std::string_view) -> Status {
    const auto is_ours = [&](std::string_view name) {
      const std::int64_t* const number = record.data[name].integer();
      return number != nullptr && static_cast<std::uint64_t>(*number) == run.number;
    };
    if (record.kind.starts_with(kind::kTreePrefix) && is_ours("fold")) ++told.changes;
    if (record.kind == kind::kExecEnd && is_ours("begin")) {
      told.end = record.data["fold"].text("none");
    }
    return ok();
  };
  std::vector<std::string> damaged;
  TRY(kernel_.journal().replay_readable({run.number}, look, damaged));
  return told;
}

}  // namespace agentfs
