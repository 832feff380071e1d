// SPDX-License-Identifier: MIT
// Bringing back what was removed or overwritten, and forgetting it for good.
#include <sys/stat.h>
#include <unistd.h>

#include <map>

#include "base/blocks.h"
#include "base/text.h"
#include "kernel/caller_groups.h"
#include "kernel/conflict_table.h"
#include "kernel/history_choosing.h"
#include "kernel/history_keeper.h"
#include "kernel/kernel.h"
#include "kernel/paths.h"
#include "kernel/quota.h"
#include "kernel/restorable.h"
#include "kernel/restore_order.h"
#include "kernel/versions_in_use.h"

namespace agentfs {
namespace {

mode_t type_of(FileVersion::Type type) {
  switch (type) {
    case FileVersion::Type::link:
      return S_IFLNK;
    case FileVersion::Type::directory:
      return S_IFDIR;
    case FileVersion::Type::fifo:
      return S_IFIFO;
    case FileVersion::Type::socket:
      return S_IFSOCK;
    default:
      return S_IFREG;
  }
}

// What comes back, and as what: of a file that had several names the same for each of them.
struct Return {
  FileVersionRef version;
  FileVersionRef whole;
  std::string other{};  // the path at which the whole comes back before

  bool has_bytes() const { return other.empty() && whole->type == FileVersion::Type::file; }
};
using Returns = std::vector<Return>;

// In their order; a name whose file has others still cannot come back from here.
Returns returns_of(const History& history, const Versions& versions) {
  Returns all;
  std::map<std::uint64_t, std::string> paths;  // by the whole's number
  for (const FileVersionRef& version : versions) {
    const FileVersionRef whole = history.whole(version);
    if (whole == nullptr) continue;
    const auto [first, is_first] = paths.try_emplace(whole->number, version->path);
    all.push_back({version, whole, is_first ? std::string() : first->second});
  }
  return all;
}

RestoreStep step_of(const Return& one) {
  const FileVersion& v = *one.whole;
  RestoreStep step{.path = one.version->path, .mode = type_of(v.type) | v.mode};
  step.uid = v.uid;
  step.gid = v.gid;
  step.modified = v.modified;
  step.target = v.target;
  step.xattrs = v.xattrs;
  step.other = one.other;
  if (v.type == FileVersion::Type::file) step.content = v.stored();
  return step;
}

// In the place of another file it is new: who goes by times, as make does, is to see that. Where
// there is none, what comes there meanwhile is newer, and stays.
RestoreStep step_now(const Kernel& kernel, const Caller& caller, const Return& one) {
  RestoreStep step = step_of(one);
  if (S_ISDIR(step.mode)) return step;
  step.is_missing = !is_there(kernel, caller, step.path);
  if (!step.is_missing) step.modified = kernel.clock().wall();
  return step;
}

// What a restore may take: without this a limit would be met half-way.
Growth growth_of(const Returns& returns) {
  Growth growth;
  for (const Return& one : returns) {
    Growth::Amount more{.bytes = 0, .inodes = one.other.empty() ? 1 : 0};
    if (one.has_bytes()) more.bytes += static_cast<std::int64_t>(one.whole->held);
    if (one.whole->type == FileVersion::Type::directory) {
      more.bytes += whole_blocks(one.whole->xattrs.empty() ? 1 : kBlock + 1);
    }
    growth.add(one.whole->uid, more);
  }
  return growth;
}

// What is lent may be gone where it was lent from. Half of a directory is no use.
Status check_readable(const PastStore& past, const Returns& returns) {
  for (const Return& one : returns) {
    if (!one.has_bytes()) continue;
    if (const auto opened = past.open(one.whole->stored()); !opened) {
      return fail(opened.error().code,
                  "{}: {}; nothing was restored, and what is beside it can be by "
                  "its own path",
                  text::shown(one.version->path), opened.error().message);
    }
  }
  return ok();
}

// What the disk has no room for is refused before it begins, too.
Status check_disk(const KernelParts& parts, const Returns& returns) {
  constexpr std::uint64_t kSector = 512;
  // Of each a name beside its own for a while, and rows of its making, filling, dressing and
  // coming.
  constexpr std::uint64_t kRowsOfOne = 4;
  std::uint64_t needed = returns.size() * kRowsOfOne * kRoomOfName;
  for (const Return& one : returns) {
    if (one.whole->type == FileVersion::Type::directory) needed += whole_blocks(1);
    if (!one.has_bytes()) continue;
    const auto kept = parts.past->attributes(one.whole->stored());
    if (kept) needed += static_cast<std::uint64_t>(kept->st_blocks) * kSector;
  }
  // A small file comes whole or not at all.
  constexpr std::uint64_t kSmall = std::uint64_t{1} << 20;
  if (returns.size() == 1 && needed < kSmall) return ok();
  const Status room =
      check_disk_room(parts.state + "/trees", needed, returns.size() * kFilesOfName);
  if (room) return ok();
  return fail(room.error().code, "restore: {}; nothing was changed", room.error().message);
}

// While history is off, that is why there is nothing.
Result<Versions> while_off(Result<Versions> found) {
  if (found || found.error().code != ENOENT) return found;
  return fail(ENOENT, "{}; nothing is kept while days is 0 in /etc/history.toml",
              found.error().message);
}

// Several steps are on the disk before the order for them is gone. The paths that were left to who
// made something there meanwhile.
Result<std::vector<std::string>> carry_out(const Kernel& kernel, const Caller& caller,
                                           const std::vector<RestoreStep>& steps) {
  StoredOrder order = TRY(store_restore(kernel, caller, steps));
  RestoreCourse course{.reached = [&](auto done) { order.add(RestoreOrder::reached_line(done)); }};
  TRY(kernel.paths().restore(with_groups(kernel, caller), steps, course));
  if (steps.size() > 1) TRY(kernel.parts().past->sync_all());
  return std::move(course.left);
}

std::string told_of(const Returns& returns, std::size_t left, const std::string& whole,
                    bool with_directories) {
  if (left >= returns.size()) return "";
  std::string what = fmt::format("{} paths at and below {}", returns.size() - left, whole);
  if (returns.size() == 1) {
    what = fmt::format("{} from {:06}", returns[0].version->path, returns[0].whole->number);
  }
  return fmt::format("restored {}{}\n", what,
                     with_directories ? ", and the directories it was in" : "");
}

}  // namespace

Result<std::string> HistoryKeeper::restore(const Caller& caller, const std::string& root,
                                           const std::string& path,
                                           std::optional<std::uint64_t> version) {
  TRY(may_see(caller, root));
  const std::string whole = TRY(path_below(root, path));
  const bool has_root = is_there(kernel_, caller, root);
  Chosen chosen;
  TRY(look(caller, root, [&](const SeenHistory& history) {
    chosen = choose(history, in_use_, root, whole, version);
  }));
  Result<Versions> looked_up = std::move(chosen.versions);
  auto [found, note] = without_what_is_there(
      kernel_, caller, whole, TRY(is_on() ? std::move(looked_up) : while_off(std::move(looked_up))),
      chosen.newest);
  Versions& above = chosen.above;
  if (found.empty()) return fail(ENOENT, "{}: what was removed there is there again", whole);
  Returns returns;
  kernel_.look_at_history([&](const History& h) { returns = returns_of(h, found); });
  if (returns.empty()) {
    return fail(
        ENOENT,
        "{}: the file that had this name has another, since it was renamed or had several; `mv` or "
        "`ln` gives it the name again. Or what it held is not kept",
        whole);
  }
  std::erase_if(above, [&](const auto& one) { return is_there(kernel_, caller, one->path); });
  if (!check_own(caller, above)) above.clear();  // who does not own them makes plain ones
  std::vector<RestoreStep> steps;
  for (const FileVersionRef& one : above) steps.push_back(step_of({one, one}));
  for (const Return& one : returns) {
    steps.push_back(step_now(kernel_, caller, one));
    // By its own name a directory gets its mode, owner and attributes again, also if it is there.
    steps.back().is_again = S_ISDIR(steps.back().mode) && one.version->path == whole;
    if (one.whole != one.version) found.push_back(one.whole);
  }
  TRY(check_own(caller, found));
  const Hold room = TRY(kernel_.paths().hold_room(root, growth_of(returns)));
  TRY(check_readable(*kernel_.parts().past, returns));
  TRY(check_disk(kernel_.parts(), returns));
  const MergePause pause(kernel_.conflicts(), root);  // no state is kept of what lies ready
  if (has_root && !is_there(kernel_, caller, root)) {
    return fail(ENOENT, "{}: has gone since this began, and nothing was restored", root);
  }
  const std::vector<std::string> left = TRY(carry_out(kernel_, caller, steps));
  return told_of(returns, left.size(), whole, !above.empty()) + note + note_of_left(left);
}

Result<std::string> HistoryKeeper::forget(const Caller& caller, const std::string& root,
                                          const std::string& path,
                                          std::optional<std::uint64_t> version) {
  TRY(may_see(caller, root));
  TRY(may_destroy(caller, root));
  const std::string whole = TRY(path_below(root, path));
  Result<Versions> looked_up;
  Forgetting which;
  TRY(look(caller, root, [&](const SeenHistory& history) {
    looked_up = to_forget(history, whole, version);
    if (looked_up) which = forgetting_of(history.all(), *looked_up);
  }));
  const Versions found = TRY(std::move(looked_up));
  TRY(check_own(caller, found));
  TRY(check_own(caller, which.gone));
  const auto [claim, busy] = this->claim(which);
  if (busy != nullptr) {
    return fail(EBUSY,
                "{}: is being brought back by a restore, and nothing was forgotten; once that has "
                "ended `drop` would do",
                text::shown(busy->path));
  }
  TRY(drop(caller, which, "asked"));
  if (which.for_others.empty())
    return fmt::format("forgot {}\n", text::counted(found.size(), "version"));
  return fmt::format("forgot {}; of {} the bytes stay, for other names of the file that are kept\n",
                     text::counted(found.size(), "version"), which.for_others.size());
}

}  // namespace agentfs
