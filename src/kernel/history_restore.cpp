// SPDX-License-Identifier: MIT
// Bringing back what was removed or overwritten, and forgetting it for good.
#include <sys/stat.h>
#include <unistd.h>

#include <limits>
#include <map>
#include <set>

#include "base/blocks.h"
#include "base/text.h"
#include "kernel/caller_groups.h"
#include "kernel/conflict_table.h"
#include "kernel/history_keeper.h"
#include "kernel/kernel.h"
#include "kernel/paths.h"
#include "kernel/quota.h"
#include "kernel/restorable.h"
#include "kernel/restore_order.h"

namespace agentfs {
namespace {

using Versions = std::vector<FileVersionRef>;

constexpr std::size_t kNamed = 5;  // versions that a sentence names

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

std::string numbers_of(const Versions& versions) {
  std::vector<std::string> names;
  for (auto v = versions.rbegin(); v != versions.rend() && names.size() < kNamed; ++v) {
    names.push_back(fmt::format("{:06}", (*v)->number));
  }
  return text::join(names, ", ");
}

// Where nothing is known of a path: the nearest names beside it.
std::unexpected<Error> nothing_of(const SeenHistory& history, const std::string& path) {
  const auto slash = path.rfind('/');
  std::vector<std::string> names;
  const bool is_top = path.find('/', 1) == slash;  // beside it are others, which are no paths in it
  if (!is_top) {
    for (const History::Child& child : history.children(path.substr(0, slash))) {
      names.push_back(child.name);
    }
  }
  return fail(
      ENOENT,
      "{}: there is no version of it, and it is not in the trash{}; what can be restored is "
      "listed in .agentfs/versions and .agentfs/trash",
      path, text::did_you_mean(path.substr(slash + 1), names));
}

Result<FileVersionRef> one_version(const SeenHistory& history, const std::string& path,
                                   std::uint64_t number) {
  const FileVersionRef version = history.find(number);
  if (version != nullptr && version->path == path) return version;
  const Versions versions = history.versions(path);
  if (versions.empty()) return nothing_of(history, path);
  return fail(ENOENT, "{}: has no version {:06}; there are {}{}", path, number,
              versions.size() > kNamed ? "among others " : "", numbers_of(versions));
}

// Of what is in the trash as a file, what a directory of that name had before: the two cannot come
// back together. The file is the newer one; the rest comes back by its own path.
void drop_below_files(Versions& versions, std::size_t top) {
  std::set<std::string, std::less<>> files;
  for (const FileVersionRef& one : versions) {
    if (one->type != FileVersion::Type::directory) files.insert(one->path);
  }
  std::erase_if(versions, [&](const FileVersionRef& one) {
    const std::string_view path = one->path;
    for (auto slash = path.find('/', top); slash != path.npos; slash = path.find('/', slash + 1)) {
      if (files.contains(path.substr(0, slash))) return true;
    }
    return false;
  });
}

// When something below a directory was changed for the last time that a version knows of, its
// removal left out; 0: it knows of none.
std::int64_t changed_at(const FileVersion& version) {
  const bool was_taken = version.in_trash || version.cause == "remove" ||
                         version.cause == "recovered" || version.cause == FileVersion::kLeftover;
  if (!was_taken) return version.time;
  // The mtime of a directory is that of the removals in it, and any may have been set ahead; what
  // was copied, unpacked or renamed has one from before it had its name.
  const bool tells = version.type != FileVersion::Type::directory;
  const auto known = [&](std::int64_t time) { return time <= version.time ? time : 0; };
  return std::max(tells ? known(version.modified) : 0, known(version.named));
}

// Of what is in the trash below a directory that went, what was gone before: it comes back as it
// was when its removal began. That is after the last change below it that was none, and what the
// same process took is of it, however others wrote meanwhile.
void drop_gone_before(const SeenHistory& history, const FileVersion& directory,
                      Versions& versions) {
  std::int64_t changed = 0;
  for (const FileVersionRef& one : history.versions_below(directory.path)) {
    const std::int64_t time = changed_at(*one);
    if (time < directory.time) changed = std::max(changed, time);
  }
  std::erase_if(versions, [&](const FileVersionRef& one) {
    const bool is_by_the_same =
        one->host_pid == directory.host_pid && one->author == directory.author;
    return one->time < changed && !is_by_the_same;
  });
}

Result<Versions> to_restore(const SeenHistory& history, const std::string& path,
                            std::optional<std::uint64_t> number) {
  if (number) return Versions{TRY(one_version(history, path, *number))};
  Versions versions = history.trashed_at_or_below(path);
  std::erase_if(versions, [&](const FileVersionRef& one) {
    return one->path != path && one->cause == FileVersion::kLeftover;
  });
  drop_below_files(versions, path.size());
  Versions own = history.versions(path);
  if (versions.empty()) {
    if (own.empty()) return nothing_of(history, path);
    return Versions{own.back()};
  }
  // A directory that has been made again since it went with what was in it.
  const auto went_later = [&](const FileVersionRef& one) {
    return own.back()->number > one->number;
  };
  const bool is_made_again = !own.empty() && own.back()->type == FileVersion::Type::directory &&
                             versions.front()->path != path &&
                             std::ranges::any_of(versions, went_later);
  if (is_made_again) versions.insert(versions.begin(), own.back());
  const FileVersionRef top = versions.front();
  if (top->path == path && top->type == FileVersion::Type::directory) {
    drop_gone_before(history, *top, versions);
  }
  return versions;
}

// Those that were removed, from the top down: without them a file would come back into ones
// with nobody's mode and owner. Each as it was when it went after what comes back, whatever has had
// its name since.
Versions directories_above(const SeenHistory& history, const std::string& root,
                           const std::string& path, const Versions& returning) {
  std::uint64_t first = std::numeric_limits<std::uint64_t>::max();
  for (const FileVersionRef& one : returning) first = std::min(first, one->number);
  Versions above;
  for (auto slash = path.find('/', root.size() + 1); slash != path.npos;
       slash = path.find('/', slash + 1)) {
    Versions all = history.versions(path.substr(0, slash));
    std::erase_if(
        all, [](const FileVersionRef& one) { return one->type != FileVersion::Type::directory; });
    const auto after =
        std::ranges::find_if(all, [&](const FileVersionRef& one) { return one->number > first; });
    if (!all.empty()) above.push_back(after == all.end() ? all.back() : *after);
  }
  return above;
}

Result<Versions> to_forget(const SeenHistory& history, const std::string& path,
                           std::optional<std::uint64_t> number) {
  if (number) return Versions{TRY(one_version(history, path, *number))};
  Versions versions = history.versions(path);
  for (FileVersionRef& below : history.versions_below(path)) versions.push_back(std::move(below));
  if (versions.empty()) return nothing_of(history, path);
  return versions;
}

// While history is off, that is why there is nothing.
Result<Versions> while_off(Result<Versions> found) {
  if (found || found.error().code != ENOENT) return found;
  return fail(ENOENT, "{}; nothing is kept while days is 0 in /etc/history.toml",
              found.error().message);
}

// What a file of several names held stays until the last of them is forgotten.
Forgetting forgetting_of(const History& history, const Versions& versions) {
  std::set<std::uint64_t> numbers;
  for (const FileVersionRef& one : versions) numbers.insert(one->number);
  const auto is_for_others = [&](const FileVersion& content) {
    return std::ranges::any_of(history.names_of(content), [&](const FileVersionRef& name) {
      return !numbers.contains(name->number);
    });
  };
  Forgetting which;
  std::set<std::uint64_t> looked_at;  // once, however many names go
  for (const FileVersionRef& one : versions) {
    (is_for_others(*one) ? which.for_others : which.gone).push_back(one);
    FileVersionRef whole = history.whole(one);
    if (whole == nullptr || !whole->forgotten || !looked_at.insert(whole->number).second) continue;
    if (is_for_others(*whole)) continue;
    if (numbers.insert(whole->number).second) which.gone.push_back(std::move(whole));
  }
  return which;
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
  if (returns.size() == 1) what = fmt::format("{} from {:06}", whole, returns[0].whole->number);
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
  Result<Versions> looked_up;
  Versions above;
  Versions own;
  TRY(look(caller, root, [&](const SeenHistory& history) {
    looked_up = to_restore(history, whole, version);
    above = directories_above(history, root, whole, looked_up.value_or(Versions()));
    own = history.versions(whole);
  }));
  auto [found, note] = without_what_is_there(
      kernel_, caller, whole, TRY(is_on() ? std::move(looked_up) : while_off(std::move(looked_up))),
      own.empty() ? nullptr : own.back());
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
  TRY(drop(caller, which, "asked"));
  if (which.for_others.empty())
    return fmt::format("forgot {}\n", text::counted(found.size(), "version"));
  return fmt::format("forgot {}; of {} the bytes stay, for other names of the file that are kept\n",
                     text::counted(found.size(), "version"), which.for_others.size());
}

}  // namespace agentfs
