// SPDX-License-Identifier: MIT
#include "backends/compare/staging.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "backends/compare/attributes.h"
#include "backends/compare/decide.h"
#include "backends/compare/stamps.h"
#include "base/copy.h"
#include "base/text.h"

namespace agentfs::compare {
namespace {

using Action = MergeAction::Kind;
using Step = MergeStep::Kind;

constexpr mode_t kSetId = S_ISUID | S_ISGID;

std::unexpected<Error> moved(const std::string& path, std::string_view side) {
  return fail(ESTALE, "{}: changed in {} since the merge was planned; merge again",
              text::shown(path), side);
}

// Equal where one file under several names becomes one file again.
auto identity_of(const MergeAction& action) {
  const auto number = [](const FileState& state) { return std::tuple(state.device, state.inode); };
  return std::tuple(number(action.base), number(action.ours), number(action.theirs), action.mode,
                    action.merged);
}

class Stager {
 public:
  Stager(const Staging& staging)
      : staging_(staging),
        base_(staging.sides.base),
        ours_(staging.sides.ours),
        theirs_(staging.sides.theirs) {}

  Result<MergeRecord> run(const MergePlan& plan);

 private:
  Status stage(const MergeAction& action);
  Status stage_move(const MergeAction& action);
  Status stage_write(const MergeAction& action);
  Status stage_directory(const MergeAction& action);
  Status stage_dress(const MergeAction& action);
  Status check_ours(const MergeAction& action);
  Result<bool> is_parted(const MergeAction& action);
  Result<TreeEntry> make_or_link(const MergeAction& action, const std::string& name);
  Result<TreeEntry> make(const MergeAction& action, const std::string& name);
  Result<TreeEntry> make_file(const Leaf& theirs, const MergeAction& action,
                              const std::string& name);
  Status fill(const Leaf& theirs, const MergeAction& action, int to);
  Result<FileAttributes> attributes_for(const MergeAction& action, const Leaf& theirs);
  Status dress(const MergeAction& action, const Leaf& theirs, const TreeEntry& made);
  static mode_t permissions_of(const MergeAction& action, const Leaf& theirs,
                               const struct stat& ours);
  void then_mode(const MergeAction& action, const FileState& now);
  MergeRecord ordered();

  TreeStore& store() { return *staging_.sides.ours.store; }
  std::string next_name(char letter) { return fmt::format("{}{}", letter, ++count_); }

  const Staging& staging_;
  PathFinder base_;
  PathFinder ours_;
  PathFinder theirs_;
  std::size_t count_ = 0;
  std::map<decltype(identity_of({})), std::string> made_;  // names in the staging directory
  std::map<std::uint64_t, std::int64_t> their_times_;      // of what is fresh, by its inode
  std::vector<MergeStep> takes_;
  std::vector<MergeStep> directory_takes_;
  std::vector<MergeStep> puts_;
  std::vector<MergeStep> modes_;
};

Result<MergeRecord> Stager::run(const MergePlan& plan) {
  for (const MergeAction& action : plan.actions) {
    const auto staged = stage(action);
    if (staged) continue;
    if (staged.error().code == ESTALE) return std::unexpected(staged.error());
    return fail(staged.error().code, "{}: {}", text::shown(action.path), staged.error().message);
  }
  std::vector<Fresh> fresh;
  for (MergeStep& step : puts_) {
    const auto found = their_times_.find(step.after.inode);  // of one of its names
    step.fresh = found != their_times_.end();
    if (step.fresh) fresh.push_back({&step, found->second});
  }
  TRY(stamp(store(), *staging_.directory, std::move(fresh)));
  return ordered();
}

// Names become free first, from files up to directories; then they are taken, from directories
// down; permissions come last, as they may forbid the rest.
MergeRecord Stager::ordered() {
  MergeRecord record{.durable = staging_.options.durable, .steps = std::move(takes_)};
  std::ranges::sort(directory_takes_, std::ranges::greater{}, &MergeStep::path);
  std::ranges::sort(puts_, {}, [](const MergeStep& step) {
    return std::pair{!step.after.is_directory(), std::string_view(step.path)};
  });
  for (auto* const steps : {&directory_takes_, &puts_, &modes_}) {
    std::ranges::move(*steps, std::back_inserter(record.steps));
  }
  return record;
}

Status Stager::stage(const MergeAction& action) {
  TRY(check_ours(action));
  const MergeStep take{.kind = Step::take, .path = action.ours_path, .before = action.ours};
  switch (action.kind) {
    case Action::write:
      return stage_write(action);
    case Action::make_directory:
      return stage_directory(action);
    case Action::set_mode:
    case Action::move:
      return stage_move(action);
    case Action::remove:
      takes_.push_back(take);
      takes_.back().name = next_name('o');
      return ok();
    case Action::remove_directory:
      directory_takes_.push_back(take);
      directory_takes_.back().name = next_name('o');
      return ok();
  }
  return ok();
}

Status Stager::check_ours(const MergeAction& action) {
  if (action.ours_path.empty()) return ok();
  const FileState now = TRY(ours_.state(action.ours_path));
  const bool is_same = action.ours.is_directory()
                           ? now.inode == action.ours.inode && now.mode == action.ours.mode
                           : now == action.ours;
  return is_same ? ok() : Status(moved(action.ours_path, "ours"));
}

// The file as it is, under another name or with other permissions, or a directory with all in it.
Status Stager::stage_move(const MergeAction& action) {
  if (action.attributes && action.ours.is_directory()) return stage_dress(action);
  if (action.attributes || TRY(is_parted(action))) return stage_write(action);
  if (action.path != action.ours_path) {
    const bool is_directory = action.ours.is_directory();
    MergeStep step{.kind = Step::take, .path = action.ours_path, .name = next_name('o')};
    step.before = action.ours;
    step.whole = is_directory;
    (is_directory ? directory_takes_ : takes_).push_back(step);
    step.kind = Step::put;
    step.path = action.path;
    step.before = {};
    step.after = action.ours;
    puts_.push_back(std::move(step));
  }
  MergeAction allowed = action;
  if (!action.theirs_path.empty() && action.theirs.is_regular()) {
    const Leaf theirs = TRY(theirs_.leaf(action.theirs_path));
    const Leaf ours = TRY(ours_.leaf(action.ours_path));
    const mode_t had = action.ours.mode & kSetId;
    allowed.mode = action.ours.type() | permissions_of(action, theirs, ours.entry.attributes) |
                   (action.mode & had);
  }
  then_mode(allowed, action.ours);
  return ok();
}

// Whether theirs has a file of its own where base has one of several names: then the permissions
// are not those of the other names.
Result<bool> Stager::is_parted(const MergeAction& action) {
  const bool can_be = action.ours.is_regular() && action.theirs.is_regular() &&
                      !action.base_path.empty() && modes_differ(action.ours, {.mode = action.mode});
  if (!can_be) return false;
  const auto names = [&](PathFinder& finder, const std::string& path) -> Result<nlink_t> {
    return TRY(finder.leaf(path)).entry.attributes.st_nlink;
  };
  return TRY(names(ours_, action.ours_path)) > 1 &&
         TRY(names(theirs_, action.theirs_path)) < TRY(names(base_, action.base_path));
}

Status Stager::stage_write(const MergeAction& action) {
  MergeStep step{.kind = Step::put, .path = action.path, .name = next_name('n')};
  step.after = state_of(TRY(make_or_link(action, step.name)));
  if (is_fresh(action) && action.theirs.is_regular())
    their_times_.emplace(step.after.inode, action.theirs.modified);
  if (action.ours_path == action.path) {
    step.kind = Step::swap;
    step.before = action.ours;
  } else if (!action.ours_path.empty()) {
    takes_.push_back({.kind = Step::take,
                      .path = action.ours_path,
                      .name = next_name('o'),
                      .before = action.ours});
  }
  puts_.push_back(std::move(step));
  return ok();
}

// Writable until all is in it.
Status Stager::stage_directory(const MergeAction& action) {
  MergeStep step{.kind = Step::put, .path = action.path, .name = next_name('n')};
  const auto made = TRY(store().make_directory(*staging_.directory, step.name, 0700, TreeCaller{}));
  MergeAction open = action;
  open.mode |= S_IRWXU;
  Leaf like;
  if (!action.theirs_path.empty()) {
    like = TRY(theirs_.leaf(action.theirs_path));
  } else if (!action.ours_path.empty()) {
    like = TRY(ours_.leaf(action.ours_path));
  }
  TRY(dress(open, like, made));
  step.after = state_of({made.node, TRY(store().attributes(*made.node))});
  const bool is_either_sides = action.theirs.exists() || action.ours.exists();
  if (is_either_sides) step.after.modified = time_of_kept(action);
  then_mode(action, step.after);
  puts_.push_back(std::move(step));
  return ok();
}

// Owner and extended attributes of a directory that is there, beside its permissions.
Status Stager::stage_dress(const MergeAction& action) {
  MergeStep step{
      .kind = Step::mode, .path = action.path, .before = action.ours, .after = action.ours};
  step.after.mode = S_IFDIR | (action.mode & kPermissions);
  step.had = attributes_of(TRY(ours_.leaf(action.ours_path)));
  step.gets = merge_attributes(attributes_of(TRY(base_.leaf(action.base_path))), *step.had,
                               attributes_of(TRY(theirs_.leaf(action.theirs_path))))
                  .merged;
  modes_.push_back(std::move(step));
  return ok();
}

void Stager::then_mode(const MergeAction& action, const FileState& now) {
  if ((now.mode & kPermissions) == (action.mode & kPermissions) || now.type() == S_IFLNK) return;
  MergeStep step{.kind = Step::mode, .path = action.path, .before = now, .after = now};
  step.after.mode = now.type() | (action.mode & kPermissions);
  modes_.push_back(std::move(step));
}

Result<TreeEntry> Stager::make_or_link(const MergeAction& action, const std::string& name) {
  const auto [known, is_first] = made_.emplace(identity_of(action), name);
  if (is_first) return make(action, name);
  if (TRY(theirs_.state(action.theirs_path)) != action.theirs) {
    return moved(action.theirs_path, "theirs");
  }
  const auto made = TRY(store().lookup(*staging_.directory, known->second));
  return store().link(*made.node, *staging_.directory, name, TreeCaller{});
}

Result<TreeEntry> Stager::make(const MergeAction& action, const std::string& name) {
  const Leaf theirs = TRY(theirs_.leaf(action.theirs_path));
  if (state_of(theirs.entry) != action.theirs) return moved(action.theirs_path, "theirs");
  TreeEntry made;
  if (action.theirs.type() == S_IFLNK) {
    const std::string target = TRY(theirs.store->read_link(*theirs.entry.node));
    made = TRY(store().make_link(*staging_.directory, name, target, TreeCaller{}));
  } else if (!action.theirs.is_regular()) {
    made = TRY(store().make_node(*staging_.directory, name, action.mode,
                                 static_cast<dev_t>(action.theirs.special), TreeCaller{}));
  } else {
    made = TRY(make_file(theirs, action, name));
  }
  const FileState now = TRY(theirs_.state(action.theirs_path));
  if (now != action.theirs) return moved(action.theirs_path, "theirs");
  TRY(dress(action, theirs, made));
  if (!is_fresh(action)) TRY(set_modified(store(), *made.node, time_of_kept(action)));
  return TreeEntry{made.node, TRY(store().attributes(*made.node))};
}

Result<TreeEntry> Stager::make_file(const Leaf& theirs, const MergeAction& action,
                                    const std::string& name) {
  auto created =
      TRY(store().create(*staging_.directory, name, O_RDWR | O_EXCL, 0600, TreeCaller{}));
  TRY(fill(theirs, action, created.file->descriptor()));
  return created.entry;
}

Status Stager::fill(const Leaf& theirs, const MergeAction& action, int to) {
  if (action.merged) {
    ThreeLeaves leaves{.ours = TRY(ours_.leaf(action.ours_path)), .theirs = theirs};
    if (!action.base_path.empty()) leaves.base = TRY(base_.leaf(action.base_path));
    const auto merged = TRY(merge_leaves(leaves, staging_.options.largest));
    if (!merged.is_clean) return moved(action.path, "ours or theirs");
    TRY(check_ours(action));
    return file::write_all(to, merged.text);
  }
  const bool keeps_ours = action.kind != Action::write;
  const Leaf source = keeps_ours ? TRY(ours_.leaf(action.ours_path)) : theirs;
  const auto from = TRY(source.store->open(*source.entry.node, O_RDONLY, TreeCaller{}));
  (void)TRY(copy_bytes(from->descriptor(), to, source.entry.attributes));
  TRY(from->check_read());
  return check_ours(action);
}

// Set-user-id and set-group-id that theirs' owner has set are not another owner's.
mode_t Stager::permissions_of(const MergeAction& action, const Leaf& theirs,
                              const struct stat& ours) {
  const mode_t mode = action.mode & kPermissions;
  const struct stat& was = theirs.entry.attributes;
  const bool is_same_owner =
      theirs.store == nullptr || (was.st_uid == ours.st_uid && was.st_gid == ours.st_gid);
  return is_same_owner || S_ISDIR(action.mode) ? mode : mode & ~kSetId;
}

// What is new, or of another type, has theirs'; what a file has that is replaced, and theirs has
// not changed, it leaves to the new one. What its bytes may do beyond their caller is of the side
// that they are of.
Result<FileAttributes> Stager::attributes_for(const MergeAction& action, const Leaf& theirs) {
  if (theirs.store == nullptr) {
    return FileAttributes{.uid = staging_.options.caller.uid, .gid = staging_.options.caller.gid};
  }
  FileAttributes their = attributes_of(theirs);
  if (action.ours_path.empty() || action.ours.type() != action.theirs.type()) return their;
  const FileAttributes ours = attributes_of(TRY(ours_.leaf(action.ours_path)));
  FileAttributes wanted = ours;
  if (action.attributes) {
    const Leaf base = TRY(base_.leaf(action.base_path));
    wanted = merge_attributes(attributes_of(base), ours, their).merged;
  }
  const bool keeps_ours = action.kind != Action::write;
  if (keeps_ours && action.equal) return wanted;
  wanted.xattrs.erase(kCapabilityName);
  const auto& side = keeps_ours ? ours.xattrs : their.xattrs;
  const auto capabilities = side.find(kCapabilityName);
  if (!action.merged && capabilities != side.end()) wanted.xattrs.insert(*capabilities);
  return wanted;
}

Status Stager::dress(const MergeAction& action, const Leaf& theirs, const TreeEntry& made) {
  const FileAttributes wanted = TRY(attributes_for(action, theirs));
  TRY(set_attributes({&store(), made}, wanted, action.mode));
  if (made.node->type() == S_IFLNK) return ok();
  MergeAction allowed = action;
  const bool has_their_bytes = action.kind == Action::write ? !action.merged : action.equal;
  if (action.attributes && !has_their_bytes) allowed.mode &= ~kSetId;
  SetAttributes mode{.which = SetAttributes::mode};
  const struct stat now = TRY(store().attributes(*made.node));
  mode.values.st_mode = permissions_of(allowed, theirs, now);
  TRY(store().set_attributes(*made.node, nullptr, mode, TreeCaller{}));
  return ok();
}

}  // namespace

Result<TreeNodeRef> make_staging(const TreeSide& ours) {
  auto made = ours.store->make_directory(*ours.root, kMergeDirectory, 0700, TreeCaller{});
  if (made) return made->node;
  if (made.error().code != EEXIST) return std::unexpected(made.error());
  return fail(EBUSY, "{}: a merge is under way in this tree; when it has ended, merge again",
              kMergeDirectory);
}

Result<TreeNodeRef> find_staging(const TreeSide& ours) {
  const auto found = ours.store->lookup(*ours.root, kMergeDirectory);
  if (found) return found->node;
  if (is_gone(found.error())) return TreeNodeRef();
  return std::unexpected(found.error());
}

Status sync_disk(TreeStore& store, const TreeNode& directory) {
  const auto opened = TRY(store.open_directory(directory));
  if (::syncfs(opened->descriptor()) != 0) return fail_errno(kMergeDirectory);
  return ok();
}

Result<MergeRecord> stage_plan(const Staging& staging, const MergePlan& plan) {
  return Stager(staging).run(plan);
}

}  // namespace agentfs::compare
