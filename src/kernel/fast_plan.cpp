// SPDX-License-Identifier: MIT
// What a fold does where others have changed the same paths, and how it is told.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "base/file.h"
#include "base/text.h"
#include "kernel/fast_path.h"
#include "kernel/fold.h"
#include "kernel/history_keeper.h"
#include "kernel/journal.h"
#include "kernel/kernel.h"
#include "kernel/kinds.h"
#include "kernel/paths.h"
#include "kernel/refused_writes.h"

namespace agentfs {
namespace {

constexpr std::int64_t kLargest = 32 << 20;  // bytes of a file that is merged or kept aside

Result<std::string> read_side(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file && errno == ELOOP) return fail(EINVAL, "a symbolic link");
  struct stat attributes{};
  if (!file || ::fstat(file.get(), &attributes) != 0) return fail_errno(text::shown(path));
  if (!S_ISREG(attributes.st_mode)) return fail(EINVAL, "no file with bytes");
  if (attributes.st_size > kLargest) return fail(EFBIG, "more than {} bytes", kLargest);
  return file::read(file.get());
}

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

// A row of what may have changed the bytes of a path, or what it leads to.
bool is_change_of(const Record& record, const std::string& path) {
  const std::string_view kind = record.kind;
  if (!kind.starts_with(kind::kTreePrefix)) return false;
  if (kind == "tree.open" || kind == "tree.attributes" || kind == "tree.xattr") return false;
  return json::bytes_of(record.data, "path") == path ||
         json::bytes_of(record.data, "other") == path;
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
// none, but a row.
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
  return changed;
}

// Plans, merges what can be, keeps aside what cannot, and plans again with what was merged.
Result<FoldPlan> FastPath::plan(const Caller& caller, const FastRun& run, const TreeSide& ours,
                                FastEnd& end) {
  const auto writing = kernel_.paths().open_for_writing(run.root);
  std::vector<std::string> merged;
  const auto changed = [&](const std::string& path) {
    if (std::ranges::find(merged, path) != merged.end()) return false;
    return is_changed(run, path) ||
           std::ranges::find(writing, fmt::format("{}/{}", run.root, path)) != writing.end();
  };
  const OverlayFolder& folder = *kernel_.parts().folder;
  FoldPlan plan = TRY(folder.plan(ours, left_of(run), changed));
  if (run.dry_run || plan.conflicts.empty()) return plan;
  for (const FoldConflict& conflict : plan.conflicts) {
    if (conflict.is_text && TRY(merge(run, conflict))) merged.push_back(conflict.path);
  }
  if (!merged.empty()) plan = TRY(folder.plan(ours, left_of(run), changed));
  for (const FoldConflict& conflict : plan.conflicts) refuse(caller, run, conflict, end);
  end.conflicts = plan.conflicts.size();
  return plan;
}

// The first content that was replaced after the command began is what the command saw, where
// nothing had changed it by then: an append, of which no content is kept, is a row, and has a time.
std::optional<std::string> FastPath::base_of(const FastRun& run, const std::string& path) const {
  const auto kept = kernel_.history().kept_since(path, run.version);
  if (kept.empty() || kept.front()->size > static_cast<std::uint64_t>(kLargest)) {
    return std::nullopt;
  }
  const FileVersion& first = *kept.front();
  std::optional<bool> is_first;  // whether the first of such rows is the one that replaced it
  std::int64_t began = 0;
  const auto look = [&](const Record& record, std::string_view) -> Status {
    if (record.sequence.value == run.number) began = record.time;
    if (is_first || record.sequence.value <= run.number) return ok();
    if (!is_change_of(record, path)) return ok();
    const FileVersionRef replaced = version_of(record);
    is_first = replaced != nullptr && replaced->number == first.number;
    return ok();
  };
  std::vector<std::string> damaged;
  const Sequence after{run.number - 1};
  if (!kernel_.journal().replay_readable(after, look, damaged) || !damaged.empty()) {
    return std::nullopt;
  }
  const bool is_as_seen = is_first.value_or(false) && first.modified <= began;
  return is_as_seen ? kernel_.history().text_of(first) : std::nullopt;
}

// True: the command's side is now both changes in one.
Result<bool> FastPath::merge(const FastRun& run, const FoldConflict& conflict) const {
  const std::string path = fmt::format("{}/{}", run.root, conflict.path);
  const std::string upper = fmt::format("{}/{}", left_of(run).upper, conflict.upper);
  const auto base = base_of(run, path);
  const auto ours = read_side(fmt::format("{}/{}", left_of(run).lower, conflict.path));
  const auto theirs = read_side(upper);
  if (!base || !ours || !theirs) return false;
  const auto both = kernel_.parts().merger->merge_texts({*base, *ours, *theirs});
  if (!both || !both->is_clean) return false;
  struct stat attributes{};
  if (::stat(upper.c_str(), &attributes) != 0) return fail_errno(upper);
  // By rename: the file may have other names, which were not merged.
  TRY(file::replace(upper, both->text, attributes.st_mode & 07777,
                    directory_of(run.number) + "/merged"));
  if (::chown(upper.c_str(), attributes.st_uid, attributes.st_gid) != 0) return fail_errno(upper);
  return true;
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
  auto theirs = read_side(fmt::format("{}/{}", left_of(run).upper, conflict.upper));
  if (theirs) {
    const auto kept = kernel_.refused_writes().keep(
        caller, {.path = path, .reason = reason, .theirs = *theirs, .base = base_of(run, path)});
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
void FastPath::show(const FastRun& run) {
  std::vector<TreeEvent> events;
  for (const FoldChange& change : run.changes) {
    if (!change.is_inner) add_events(run.root, change, events);
  }
  kernel_.paths().refresh(events);
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
