// SPDX-License-Identifier: MIT
#include "backends/compare/walk.h"

#include <algorithm>
#include <optional>

#include "backends/compare/attributes.h"
#include "backends/compare/content.h"
#include "base/text.h"

namespace agentfs::compare {
namespace {

using Kind = PathChange::Kind;

constexpr std::size_t kEntriesBetweenQuestions = 256;

class Walker {
 public:
  Walker(const Walk& walk, const CompareOptions& options)
      : walk_(walk), options_(options), path_(walk.path) {}

  Result<std::vector<PathChange>> run();

 private:
  // A pair of directories of one name, or one of them alone.
  struct Frame {
    TreeNodeRef before;
    TreeNodeRef after;
    std::vector<std::string> before_names{};
    std::vector<std::string> after_names{};
    std::size_t before_at = 0;
    std::size_t after_at = 0;
    std::size_t path_length = 0;        // of this directory's path
    std::optional<std::size_t> told{};  // the change that tells of this directory
  };
  using Found = std::optional<TreeEntry>;

  Status enter(TreeNodeRef before, TreeNodeRef after, std::optional<std::size_t> told);
  Status list(Frame& frame);
  void leave();
  std::optional<std::string> next_name(Frame& frame);
  Status visit(Frame& frame, const std::string& name);
  Status tell_closed(const Frame& frame);
  Status compare(const Found& before, const Found& after);
  Status one_side(const TreeEntry& entry, bool is_after);
  Status pair(const TreeEntry& before, const TreeEntry& after);
  Status leaves(const TreeEntry& before, const TreeEntry& after);
  Status git_directory(const Found& before, const Found& after);
  Result<bool> git_differs(const Found& before, const Found& after) const;
  bool is_hidden(const std::string& name) const;
  bool is_known_same(const TreeEntry& before, const TreeEntry& after) const;
  bool attributes_differ(const TreeEntry& before, const TreeEntry& after) const;
  std::size_t tell(Kind kind, const TreeEntry* before, const TreeEntry* after);

  const Walk& walk_;
  const CompareOptions& options_;
  std::string path_;
  std::vector<Frame> frames_;
  std::vector<PathChange> changes_;
};

Result<std::optional<TreeEntry>> look_up(const TreeSide& side, const TreeNodeRef& directory,
                                         const std::string& name) {
  if (!directory) return std::nullopt;
  auto found = side.store->lookup(*directory, name);
  if (found) return std::move(*found);
  if (is_gone(found.error())) return std::nullopt;
  return std::unexpected(std::move(found).error());
}

Result<std::vector<PathChange>> Walker::run() {
  TRY(enter(walk_.before.root, walk_.after.root, std::nullopt));
  std::size_t seen = 0;
  while (!frames_.empty() && changes_.size() < walk_.most) {
    if (++seen % kEntriesBetweenQuestions == 0 && options_.cancelled && options_.cancelled()) {
      return fail(EINTR, "compare: cancelled after {} paths", seen);
    }
    const auto name = next_name(frames_.back());
    if (!name) {
      leave();
      continue;
    }
    if (!is_hidden(*name)) TRY(visit(frames_.back(), *name));
  }
  return std::move(changes_);
}

// A directory that its owner, and so the daemon of an ordinary user, may not look into is looked
// into on neither side: nobody has changed it, or somebody is told that.
Status Walker::list(Frame& frame) {
  if (frame.before && frame.after && options_.differing) {
    if (auto differing = options_.differing(*frame.before, *frame.after)) {
      frame.before_names = std::move(*differing);  // visit() looks for each on both sides
      return ok();
    }
  }
  const auto list = [](const TreeSide& side, const TreeNodeRef& node) {
    return node ? names_of(*side.store, *node) : Result<std::vector<std::string>>();
  };
  auto names = list(walk_.before, frame.before);
  auto names_after = list(walk_.after, frame.after);
  const bool is_closed = (!names && names.error().code == EACCES) ||
                         (!names_after && names_after.error().code == EACCES);
  if (is_closed) return tell_closed(frame);
  frame.before_names = TRY(std::move(names));
  frame.after_names = TRY(std::move(names_after));
  return ok();
}

Status Walker::tell_closed(const Frame& frame) {
  const bool is_untouched =
      frame.before && frame.after && walk_.before.store == walk_.after.store &&
      walk_.before.store->has_same_bytes(*frame.before, *frame.after).value_or(false);
  if (is_untouched) return ok();
  if (!options_.closed) {
    return fail(EACCES, "may not be looked into, even by its owner; `chmod u+rwx` would do");
  }
  options_.closed(path_);
  return ok();
}

Status Walker::enter(TreeNodeRef before, TreeNodeRef after, std::optional<std::size_t> told) {
  Frame frame{.before = std::move(before), .after = std::move(after)};
  TRY(list(frame));
  frame.told = told;
  frame.path_length = path_.size();
  frames_.push_back(std::move(frame));
  return ok();
}

void Walker::leave() {
  const Frame& frame = frames_.back();
  // All that was told since is below it.
  if (frame.told) changes_[*frame.told].empty = changes_.size() == *frame.told + 1;
  frames_.pop_back();
  if (!frames_.empty()) path_.resize(frames_.back().path_length);
}

std::optional<std::string> Walker::next_name(Frame& frame) {
  const bool has_before = frame.before_at < frame.before_names.size();
  const bool has_after = frame.after_at < frame.after_names.size();
  if (!has_before && !has_after) return std::nullopt;
  if (!has_after) return std::move(frame.before_names[frame.before_at++]);
  if (!has_before) return std::move(frame.after_names[frame.after_at++]);
  const auto order = frame.before_names[frame.before_at] <=> frame.after_names[frame.after_at];
  if (order < 0) return std::move(frame.before_names[frame.before_at++]);
  if (order == 0) ++frame.before_at;
  return std::move(frame.after_names[frame.after_at++]);
}

bool Walker::is_hidden(const std::string& name) const {
  if (name == ".git") return options_.git == CompareOptions::GitDirectories::hidden;
  return path_.empty() && name == kMergeDirectory;
}

// The path is that of the entry while it is compared, and longer for as long as it is walked.
Status Walker::visit(Frame& frame, const std::string& name) {
  const std::size_t depth = frames_.size();
  const std::size_t length = path_.size();
  const auto before = look_up(walk_.before, frame.before, name);
  const auto after = look_up(walk_.after, frame.after, name);
  for (const auto* found : {&before, &after}) {
    if (*found) continue;
    if (found->error().code != EACCES) return std::unexpected(found->error());
    // Its names can be read, and nothing of them.
    frame.before_at = frame.before_names.size();
    frame.after_at = frame.after_names.size();
    const Status told = tell_closed(frame);
    return told ? ok() : fail(EACCES, "{}: {}", text::shown(path_), told.error().message);
  }
  if (!path_.empty()) path_ += '/';
  path_ += name;
  auto compared = name == ".git" && options_.git == CompareOptions::GitDirectories::line
                      ? git_directory(*before, *after)
                      : compare(*before, *after);
  if (!compared) {
    Error& error = compared.error();
    return fail(error.code, "{}: {}", text::shown(path_), error.message);
  }
  if (frames_.size() == depth) path_.resize(length);
  return ok();
}

Status Walker::compare(const Found& before, const Found& after) {
  if (before && after) return pair(*before, *after);
  if (before) return one_side(*before, false);
  if (after) return one_side(*after, true);
  return ok();
}

Status Walker::one_side(const TreeEntry& entry, bool is_after) {
  const Kind kind = is_after ? Kind::added : Kind::deleted;
  const std::size_t told = tell(kind, is_after ? nullptr : &entry, is_after ? &entry : nullptr);
  if (entry.node->type() != S_IFDIR) return ok();
  return is_after ? enter(nullptr, entry.node, told) : enter(entry.node, nullptr, told);
}

Status Walker::pair(const TreeEntry& before, const TreeEntry& after) {
  const bool was_directory = before.node->type() == S_IFDIR;
  const bool is_directory = after.node->type() == S_IFDIR;
  if (!was_directory && !is_directory) return leaves(before, after);
  if (was_directory && is_directory) {
    const bool is_one = before.node->device() == after.node->device() &&
                        before.node->inode() == after.node->inode();
    if (is_one) return ok();
    if (options_.same && options_.same(before, after)) return ok();
    const bool attributes = attributes_differ(before, after);
    if (attributes || modes_differ(state_of(before), state_of(after))) {
      changes_[tell(Kind::modified, &before, &after)].attributes = attributes;
    }
    return enter(before.node, after.node, std::nullopt);
  }
  if (is_directory) tell(Kind::deleted, &before, nullptr);
  if (was_directory) tell(Kind::added, nullptr, &after);
  return one_side(is_directory ? after : before, is_directory);
}

bool Walker::is_known_same(const TreeEntry& before, const TreeEntry& after) const {
  return is_same_file(state_of(before), state_of(after)) ||
         (options_.same && options_.same(before, after));
}

bool Walker::attributes_differ(const TreeEntry& before, const TreeEntry& after) const {
  return options_.attributes &&
         attributes_of({walk_.before.store, before}) != attributes_of({walk_.after.store, after});
}

Status Walker::leaves(const TreeEntry& before, const TreeEntry& after) {
  if (is_known_same(before, after)) return ok();
  if (before.node->type() != after.node->type()) {
    changes_[tell(Kind::retyped, &before, &after)].content = true;
    return ok();
  }
  const auto same = same_content({walk_.before.store, before}, {walk_.after.store, after});
  if (!same && !is_unreadable(same.error()) && !is_gone(same.error())) {
    return std::unexpected(same.error());
  }
  const bool content = !same || !*same;
  const bool attributes = after.node->type() == S_IFREG && attributes_differ(before, after);
  const bool modes = modes_differ(state_of(before), state_of(after));
  if (!content && !attributes && !modes) return ok();
  PathChange& change = changes_[tell(Kind::modified, &before, &after)];
  change.content = content;
  change.attributes = attributes;
  return ok();
}

Status Walker::git_directory(const Found& before, const Found& after) {
  if (!TRY(git_differs(before, after))) return ok();
  const Kind kind = before && after ? Kind::modified : before ? Kind::deleted : Kind::added;
  PathChange& told = changes_[tell(kind, before ? &*before : nullptr, after ? &*after : nullptr)];
  told.whole = told.content = true;
  return ok();
}

Result<bool> Walker::git_differs(const Found& before, const Found& after) const {
  if (!before || !after) return before.has_value() || after.has_value();
  if (before->node->type() != after->node->type()) return true;
  if (before->node->type() != S_IFDIR) {
    if (is_known_same(*before, *after)) return false;
    return !TRY(same_content({walk_.before.store, *before}, {walk_.after.store, *after}));
  }
  if (options_.same && options_.same(*before, *after)) return false;
  CompareOptions inside = options_;
  inside.git = CompareOptions::GitDirectories::inside;
  const Walk walk{.before = {walk_.before.store, before->node},
                  .after = {walk_.after.store, after->node},
                  .path = path_,
                  .most = 1};
  return !TRY(differences(walk, inside)).empty();
}

std::size_t Walker::tell(Kind kind, const TreeEntry* before, const TreeEntry* after) {
  PathChange change{.kind = kind, .path = path_, .from = before != nullptr ? path_ : ""};
  if (before != nullptr) change.before = state_of(*before);
  if (after != nullptr) change.after = state_of(*after);
  if (before == nullptr || after == nullptr) change.content = true;
  changes_.push_back(std::move(change));
  return changes_.size() - 1;
}

}  // namespace

Result<std::vector<PathChange>> differences(const Walk& walk, const CompareOptions& options) {
  return Walker(walk, options).run();
}

}  // namespace agentfs::compare
