// SPDX-License-Identifier: MIT
// What ends a conflict of a merge.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/text.h"
#include "kernel/history_keeper.h"
#include "kernel/kernel.h"
#include "kernel/merges.h"
#include "kernel/paths.h"

namespace agentfs {
namespace {

// Only bytes are taken.
Status check_takes_theirs(const MergeConflict& conflict, const std::string& path,
                          std::uint64_t number, mode_t mode) {
  if (conflict.theirs_path.empty()) return ok();
  std::string differs;
  if (!conflict.theirs.is_regular()) {
    differs = "is no regular file";
  } else if (conflict.reason == MergeConflict::Reason::renamed) {
    differs = fmt::format("is named {}", text::shown(conflict.theirs_path));
  } else if (conflict.ours.exists() && !conflict.ours.is_regular()) {
    differs = "is a regular file, which ours is not";
  } else if (conflict.reason == MergeConflict::Reason::attributes) {
    differs = "has another owner or extended attribute";
  } else if (conflict.ours.exists() && mode != conflict.theirs.mode) {
    differs = fmt::format("has mode {:04o}", conflict.theirs.mode & 07777);
  }
  if (differs.empty()) return ok();
  return fail(ENOTSUP,
              "{}: theirs {}, and only bytes are taken; made so by hand, `resolve {} ours` "
              "would do",
              path, differs, number);
}

// Where ours has nothing, what writing makes has neither another mode, owner nor attributes.
Status check_plain(TreeStore& store, const TreeEntry& theirs, uid_t writer,
                   const std::string& sentence) {
  constexpr mode_t kWritten = 0644;
  const auto names = store.list_xattr(*theirs.node);
  const auto all = names ? text::split(*names, '\0') : std::vector<std::string_view>();
  const bool has_any = std::ranges::any_of(all, [](std::string_view name) {
    return !name.empty() && !name.starts_with("user.agentfs.") && !name.starts_with("security.");
  });
  const struct stat& attributes = theirs.attributes;
  const bool is_plain = (attributes.st_mode & 07777) == kWritten && attributes.st_uid == writer;
  return is_plain && !has_any ? ok() : Status(fail(ENOTSUP, "{}", sentence));
}

// A directory of ours where a file is to be, or a file on the way to it, is nothing to write over.
Status told_by_hand(Status written, const std::string& path, std::uint64_t number) {
  const bool is_in_the_way =
      !written && (written.error().code == EISDIR || written.error().code == ENOTDIR);
  if (!is_in_the_way) return written;
  return fail(ENOTSUP,
              "{}: ours has something else in its way ({}); with that moved elsewhere this would "
              "do, and made so by hand, `resolve {} ours`",
              path, written.error().message, number);
}

}  // namespace

// Without markers, or EBUSY.
Result<std::string> Merges::merged(const std::string& root, std::uint64_t number) const {
  const MergeConflict conflict = TRY(find(root, number)).conflict;
  if (conflict.ours_path.empty() || conflict.theirs_path.empty()) {
    return fail(ENOENT,
                "{}/{}: one side has nothing there, and there is nothing to merge; ours or "
                "theirs would do",
                root, conflict.path);
  }
  const auto side = [&](const std::string& path, const char* name) -> Result<std::string> {
    return path.empty() ? std::string() : text(root, number, name);
  };
  const std::string base = TRY(side(conflict.base_path, "base"));
  const std::string ours = TRY(side(conflict.ours_path, "ours"));
  const std::string theirs = TRY(side(conflict.theirs_path, "theirs"));
  TreeMerger::TextMerge merge =
      TRY(kernel_.parts().merger->merge_texts({.base = base, .ours = ours, .theirs = theirs}));
  if (merge.is_clean) return std::move(merge.text);
  return fail(EBUSY,
              "{}/{}: both changed the same lines, and markers are not written; a text of yours in "
              "its place and `resolve {} ours` would do",
              root, conflict.path, number);
}

Status Merges::check_taken_whole(const Caller& caller, const std::string& root,
                                 std::uint64_t number, bool is_there) const {
  const auto [all, conflict] = TRY(find(root, number));
  if (is_there || conflict.theirs_path.empty()) return ok();
  const Side theirs = TRY(side_of(*all, conflict, "theirs"));
  return check_plain(
      theirs.store, theirs.entry, kernel_.user_of(caller),
      fmt::format("{}/{}: theirs has a mode, an owner or attributes of its own, and "
                  "only bytes are taken; `cp -a` of it and `resolve {} ours` would do",
                  root, conflict.path, number));
}

// A file of an import can have lost its bytes to what its directory did. Gone, it is what ours is.
Status Merges::check_ours_is_whole(const std::string& root, std::uint64_t number) const {
  const auto [all, conflict] = TRY(find(root, number));
  const auto ours = side_of(*all, conflict, "ours");
  if (!ours || !S_ISREG(ours->entry.attributes.st_mode)) return ok();
  const auto file = ours->store.open(*ours->entry.node, O_RDONLY, TreeCaller{});
  const Status whole = file ? (*file)->check_read() : std::unexpected(file.error());
  if (whole || whole.error().code != EBUSY) return ok();
  return fail(EBUSY, "{}/{}: ours has no bytes any more ({}); `resolve {} theirs` would do", root,
              conflict.path, whole.error().message, number);
}

Result<std::string> Merges::resolve(const Caller& caller, const std::string& root,
                                    std::uint64_t number, const std::string& side) {
  TRY(kernel_.history().may_see(caller, root));
  if (side != "ours" && side != "theirs" && side != "merged") {
    return fail(EINVAL, "resolve: no side of a conflict ({}); ours, theirs or merged would do",
                text::shown(side));
  }
  const MergePause pause(kernel_.conflicts(), root);
  const MergeConflict conflict = TRY(find(root, number)).conflict;
  const std::string path = fmt::format("{}/{}", root, conflict.path);
  if (side == "theirs") {
    const auto now = kernel_.paths().attributes(caller, path);
    const mode_t mode = now ? now->st_mode : conflict.ours.mode;
    TRY(check_takes_theirs(conflict, path, number, mode));
    TRY(check_taken_whole(caller, root, number, now.has_value()));
  }
  if (side == "ours") TRY(check_ours_is_whole(root, number));
  const bool removes = side == "theirs" && conflict.theirs_path.empty();
  if (side != "ours" && !removes) TRY(may_read(caller, root, number, side));
  if (removes) {
    const Status removed = kernel_.paths().remove(caller, path);
    if (!removed && removed.error().code != ENOENT) return std::unexpected(removed.error());
  } else if (side != "ours") {
    const std::string bytes =
        TRY(side == "merged" ? merged(root, number) : text(root, number, side));
    Caller named = caller;
    named.path = root + "/.agentfs/ctl";
    TRY(told_by_hand(kernel_.paths().write(named, path, bytes), path, number));
  }
  return end_conflict(root, number, removes ? "removed, as theirs" : side, path);
}

}  // namespace agentfs
