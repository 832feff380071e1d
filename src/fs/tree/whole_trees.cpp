// SPDX-License-Identifier: MIT
#include "fs/tree/whole_trees.h"

#include <algorithm>
#include <array>

#include "base/git_quoted.h"
#include "base/nanoseconds.h"
#include "base/permissions.h"
#include "base/text.h"
#include "kernel/forks.h"
#include "kernel/history_keeper.h"
#include "kernel/imports.h"
#include "kernel/merges.h"

namespace agentfs::tree {
namespace {

constexpr std::size_t kLargestPatch = std::size_t{64} << 20;

const HistoryRoot& root_of(const void* object) { return *static_cast<const HistoryRoot*>(object); }

// --- conflicts

constexpr auto kSides =
    std::to_array<std::string_view>({"about", "base", "merged", "ours", "theirs"});

struct NumberedConflict {
  std::uint64_t number = 0;
  MergeConflict conflict{};
};

bool has_side(const HistoryRoot& root, std::uint64_t number, std::string_view side) {
  return side == "about" || root.kernel->merges().has_text(root.path, number, std::string(side));
}

Result<NumberedConflict> find_conflict(const HistoryRoot& root, std::string_view number) {
  const auto wanted = text::number<std::uint64_t>(number);
  const MergeConflictsRef all = root.kernel->merges().conflicts(root.path);
  if (wanted && all != nullptr && all->left.contains(*wanted)) {
    return NumberedConflict{*wanted, all->left.at(*wanted)};
  }
  return fail(ENOENT, "{}/.agentfs/conflicts/{}: no such conflict", root.path, text::shown(number));
}

Result<std::vector<vfs::DocumentEntry>> list_conflicts(const void* object, const Caller& caller,
                                                       const std::string& path) {
  const HistoryRoot& root = root_of(object);
  TRY(root.kernel->history().may_see(caller, root.path));
  std::vector<vfs::DocumentEntry> entries;
  if (!path.empty()) {
    const std::uint64_t number = TRY(find_conflict(root, path)).number;
    for (const std::string_view side : kSides) {
      if (has_side(root, number, side)) entries.push_back({std::string(side), false});
    }
    return entries;
  }
  if (const MergeConflictsRef all = root.kernel->merges().conflicts(root.path)) {
    for (const auto& [number, conflict] : all->left) {
      entries.push_back({std::to_string(number), true});
    }
  }
  return entries;
}

bool is_conflict(const void* object, const Caller& /*caller*/, const std::string& path) {
  return path.find('/') == std::string::npos && find_conflict(root_of(object), path).has_value();
}

std::string about_conflict(const MergeConflict& conflict) {
  std::string about = fmt::format("{}\t{}\n{}\n", quoted_for_people(conflict.path),
                                  word_of(conflict.reason), conflict.sentence);
  const bool has_both = conflict.ours.is_regular() && conflict.theirs.is_regular();
  if (has_both && conflict.ours.mode != conflict.theirs.mode) {
    about += fmt::format("mode\tours {:04o}, theirs {:04o}\n", conflict.ours.mode & kPermissions,
                         conflict.theirs.mode & kPermissions);
  }
  return about;
}

Result<vfs::ContentRef> open_conflict(const void* object, const Caller& caller,
                                      const std::string& path) {
  const HistoryRoot& root = root_of(object);
  TRY(root.kernel->history().may_see(caller, root.path));
  const auto slash = path.find('/');
  const auto [number, conflict] = TRY(find_conflict(root, std::string_view(path).substr(0, slash)));
  const std::string side = slash == std::string::npos ? "" : path.substr(slash + 1);
  if (std::ranges::find(kSides, side) == kSides.end() || !has_side(root, number, side)) {
    return fail(ENOENT, "{}/.agentfs/conflicts/{}: no such file", root.path, text::shown(path));
  }
  if (side == "about") return vfs::text_content(about_conflict(conflict));
  const Merges& merges = root.kernel->merges();
  TRY(merges.may_read(caller, root.path, number, side));
  auto file = TRY(merges.file_of(root.path, number, side));
  if (!file) return vfs::text_content(TRY(merges.text(root.path, number, side)));
  const struct stat& its = file->attributes;
  const auto changed = static_cast<std::uint64_t>(nanoseconds_of(its.st_ctim));
  return std::make_shared<const vfs::Content>(std::move(file->open),
                                              static_cast<std::uint64_t>(its.st_size),
                                              nanoseconds_of(its.st_mtim), changed ^ its.st_ino);
}

}  // namespace

constinit const vfs::DocumentOperations kConflicts{.list = list_conflicts,
                                                   .content = open_conflict,
                                                   .is_directory = is_conflict,
                                                   .names_are_users = true};

// --- ctl

Result<std::string> fork(const HistoryRoot& root, const Caller& caller, const std::string& name,
                         std::optional<std::string> checkpoint) {
  return root.kernel->forks().fork(caller, root.path, name, checkpoint);
}
Result<std::string> discard(const HistoryRoot& root, const Caller& caller,
                            const std::string& name) {
  return root.kernel->forks().discard(caller, root.path, name);
}
Result<std::string> checkpoint(const HistoryRoot& root, const Caller& caller,
                               const std::string& name) {
  return root.kernel->forks().checkpoint(caller, root.path, name);
}
Result<std::string> rollback(const HistoryRoot& root, const Caller& caller,
                             const std::string& name) {
  return root.kernel->forks().rollback(caller, root.path, name);
}

Result<std::string> show_status(const HistoryRoot& root, const Caller& caller) {
  return root.kernel->forks().status(caller, root.path);
}

Result<std::string> show_diff(const HistoryRoot& root, const Caller& caller) {
  std::string patch;
  TRY(root.kernel->forks().diff(caller, root.path, [&](std::string_view piece) -> Status {
    if (patch.size() + piece.size() > kLargestPatch) {
      return fail(EFBIG, "{}/.agentfs/diff: more than {} bytes; status names the paths", root.path,
                  kLargestPatch);
    }
    patch += piece;
    return ok();
  }));
  return patch;
}

Result<std::vector<std::string>> list_snapshots(const HistoryRoot& root, const Caller& caller) {
  TRY(root.kernel->history().may_see(caller, root.path));
  std::vector<std::string> names;
  for (const SnapshotInfo& one : root.kernel->forks().checkpoints(root.path)) {
    names.push_back(one.label);
  }
  return names;
}

Result<vfs::TreeView> view_snapshot(const HistoryRoot& root, const Caller& caller,
                                    const std::string& name) {
  TRY(root.kernel->history().may_see(caller, root.path));
  return vfs::TreeView{std::string(text::parent_part(root.path)),
                       TRY(root.kernel->forks().checkpoint_root(root.path, name))};
}

Result<std::string> merge(const HistoryRoot& root, const Caller& caller, const std::string& name,
                          std::optional<std::string> how) {
  if (how && *how != "partial") {
    return fail(EINVAL, "merge: no such way ({}); partial is one", text::shown(*how));
  }
  if (name.starts_with(kHiddenTree)) {
    return fail(EINVAL, "{}: no fork; `rebase` merges what has changed in an imported directory",
                text::shown(name));
  }
  return root.kernel->merges().merge(caller, root.path, name, how.has_value());
}

Result<std::string> resolve(const HistoryRoot& root, const Caller& caller, fcp::Chosen which,
                            const std::string& side) {
  return root.kernel->merges().resolve(
      caller, root.path, {.one = which.one, .ignored_alone = which.ignored_alone}, side);
}

Result<std::string> commit(const HistoryRoot& root, const Caller& caller) {
  return root.kernel->imports().commit(caller, root.path);
}
Result<std::string> uncommit(const HistoryRoot& root, const Caller& caller) {
  return root.kernel->imports().uncommit(caller, root.path);
}
Result<std::string> pin(const HistoryRoot& root, const Caller& caller) {
  return root.kernel->imports().pin(caller, root.path);
}
Result<std::string> rebase(const HistoryRoot& root, const Caller& caller,
                           std::optional<std::string> how) {
  if (how && *how != "partial") {
    return fail(EINVAL, "rebase: no such way ({}); partial is one", text::shown(*how));
  }
  return root.kernel->imports().rebase(caller, root.path, how.has_value());
}

Result<std::string> show_family(const HistoryRoot& root, const Caller& caller) {
  TRY(root.kernel->history().may_see(caller, root.path));
  return root.kernel->forks().family(root.path);
}

}  // namespace agentfs::tree
