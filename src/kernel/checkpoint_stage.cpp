// SPDX-License-Identifier: MIT
#include "kernel/checkpoint_stage.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>

#include "base/copy.h"
#include "base/log.h"
#include "base/text.h"
#include "kernel/away_paths.h"
#include "kernel/tree_path.h"

namespace agentfs {
namespace {

// What git's program says is too large to be recorded needs no bytes.
constexpr off_t kLargestFile = off_t{256} << 20;
constexpr off_t kLargestRules = off_t{1} << 20;
constexpr auto kRules = std::to_array<const char*>({".gitignore", ".gitattributes"});

// TreeCaller{} is root, or whoever the daemon is.
Result<std::unique_ptr<TreeFile>> open(TreeStore& store, const TreeNode& node) {
  return store.open(node, O_RDONLY, TreeCaller{});
}

bool is_gone(const Error& error) { return error.code == ENOENT || error.code == ENOTDIR; }

Status make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return ok();
  return fail_errno(path);
}

// By whom what it is a copy of may be read is what git's program asks. The owner, who could have
// these at any time, gets the bits that it takes to fill and to read it here.
Status dress(const std::string& path, const struct stat& attributes) {
  const mode_t own = S_ISDIR(attributes.st_mode) ? S_IRWXU : S_IRUSR;
  const bool is_given = ::lchown(path.c_str(), attributes.st_uid, attributes.st_gid) == 0;
  if (!is_given && ::geteuid() == 0) return fail_errno(path);
  return ::chmod(path.c_str(), (attributes.st_mode & 0777) | own) == 0 ? ok() : fail_errno(path);
}

// Where the text of a .git file leads by a relative path within the tree, from the root; git keeps
// the repositories of submodules in its own.
std::optional<std::string> place_of_repository(std::string_view text, const std::string& path) {
  constexpr std::string_view kLeads = "gitdir: ";
  if (!text.starts_with(kLeads)) return std::nullopt;
  const std::filesystem::path target(text::trim(text.substr(kLeads.size())));
  const auto place = (std::filesystem::path(path).parent_path() / target).lexically_normal();
  if (target.is_absolute() || *place.begin() != ".git") return std::nullopt;
  return place.string();
}

}  // namespace

Result<CheckpointStage> CheckpointStage::make(TreeStore& store, std::string directory,
                                              bool reads_all) {
  TRY(file::make_directories(directory, 0700));
  struct statvfs disk{};
  if (::statvfs(directory.c_str(), &disk) != 0) return fail_errno(directory);
  return CheckpointStage(store, std::move(directory), disk.f_bavail * disk.f_frsize / 2, reads_all);
}

CheckpointStage::CheckpointStage(CheckpointStage&& other) noexcept
    : store_(other.store_),
      directory_(std::exchange(other.directory_, {})),
      room_(other.room_),
      reads_all_(other.reads_all_),
      leaves_(other.leaves_),
      root_(std::move(other.root_)),
      rules_(std::move(other.rules_)),
      entered_(std::move(other.entered_)),
      left_(std::move(other.left_)),
      tracked_(std::move(other.tracked_)),
      ignored_(std::move(other.ignored_)),
      index_(std::move(other.index_)),
      clean_(std::move(other.clean_)),
      known_(std::move(other.known_)),
      away_(std::move(other.away_)),
      absent_(std::move(other.absent_)) {}

CheckpointStage::~CheckpointStage() {
  if (directory_.empty()) return;
  std::error_code error;
  std::filesystem::remove_all(directory_, error);
  if (error) log::warning("{}: not removed: {}", directory_, error.message());
}

Result<std::optional<TreeEntry>> CheckpointStage::find(const TreeNode& directory,
                                                       const std::string& name) {
  auto found = store_->lookup(directory, name);
  if (found) return std::optional(std::move(*found));
  if (is_gone(found.error()) || found.error().code == ENAMETOOLONG) return std::nullopt;
  return std::unexpected(std::move(found).error());
}

// Nor what the daemon, an ordinary user's, may not look into: that is as the last commit has it.
Status CheckpointStage::leave_closed(Status done, const std::string& path) {
  if (done || done.error().code != EACCES || path.empty()) return done;
  log::warning("{}: is left out of the commit: {}", text::shown(path), done.error().message);
  left_.insert(path);
  return ok();
}

Status CheckpointStage::leave(const std::string& path) {
  log::warning("{}: is left out of the commit: {} bytes of a path are too many", text::shown(path),
               host(path).size());
  left_.insert(path);
  return ok();
}

const TrackedPaths& CheckpointStage::index() {
  if (!index_) index_ = TrackedPaths::of(*store_, *root_);
  return *index_;
}

bool CheckpointStage::is_tracked(const std::string& path) {
  if (!index().contains(path) && !index().has_submodule(path)) return false;
  tracked_.insert(path);
  return true;
}

Status CheckpointStage::leave_ignored(const std::string& directory) {
  if (!is_tracked(directory)) left_.insert(directory);  // as a file, which is gone then
  const TreeNodeRef root = root_;
  // Also what is gone, which its absence says.
  for (const std::string& path : index().submodules_in(directory)) {
    tracked_.insert(path);
    TRY(add_commit(root, path));
  }
  for (const std::string& path : index().below(directory)) {
    tracked_.insert(path);
    TRY(add(root, path));
  }
  return ok();
}

Status CheckpointStage::add(const TreeNodeRef& root, const std::string& path) {
  return leave_closed(add_path(root, path, Which::all), path);
}

Status CheckpointStage::add_commit(const TreeNodeRef& root, const std::string& submodule) {
  return add(root, submodule + "/.git");
}

Status CheckpointStage::add_tracked(const TreeNodeRef& root, const TreeNodeRef& before) {
  root_ = root;
  const auto was = before == nullptr ? TrackedPaths() : TrackedPaths::of(*store_, *before);
  for (const std::string& path : index().missing_in(was)) {
    TRY(leave_closed(add_path(root, path, Which::ignored), path));
  }
  if (!index().is_known()) return ok();
  const auto unlike = index().away_unlike(was);
  absent_.insert(unlike.begin(), unlike.end());
  for (const std::string& path : unlike) {
    if (index().has_submodule(path)) TRY(add_commit(root, path));
  }
  const auto gone = was.away_only_here(index());
  tracked_.insert(gone.begin(), gone.end());
  for (const std::string& path : gone) TRY(add(root, path));
  return ok();
}

Status CheckpointStage::add_away(const TreeNodeRef& root) {
  root_ = root;
  if (absent_.empty()) return ok();
  AwayNow now = TRY(away_in(*store_, root, index().away_about({absent_.begin(), absent_.end()})));
  for (const AwayPath& path : now.paths) {
    TRY(leave_closed(add_path(root, path.path, Which::ignored), path.path));
  }
  away_ = std::move(now.paths);
  tracked_.insert(now.beside.begin(), now.beside.end());
  for (const std::string& path : now.beside) TRY(add(root, path));
  return ok();
}

Status CheckpointStage::add_path(const TreeNodeRef& root, const std::string& path, Which which) {
  root_ = root;
  Place place{.entry = {root, TRY(store_->attributes(*root))}};
  bool is_ignored = false;
  for (const std::string_view part : text::split(path, '/')) {
    if (part.empty()) continue;
    TRY(enter(place));
    if (part == ".git") {  // entered
      take_repository(place.path, is_ignored);
      return ok();
    }
    auto next = TRY(find(*place.entry.node, std::string(part)));
    if (!next) {
      absent_.insert(path_in(place.path, std::string(part)));
      return ok();
    }
    place = {.entry = std::move(*next), .path = path_in(place.path, std::string(part))};
    if (!fits(place.path)) return leave(place.path);
    // The path leads on from it at other times.
    if (!S_ISDIR(place.entry.attributes.st_mode)) {
      left_.erase(place.path);
      is_ignored = is_ignored || rules_.is_ignored(place.path, false);
      if (is_ignored && !is_tracked(place.path)) ignored_.insert(place.path);
      return is_ignored || which == Which::all ? take_leaf(place) : ok();
    }
    is_ignored = is_ignored || rules_.is_ignored(place.path, true);
  }
  if (which == Which::ignored) return ok();  // a directory is not what is tracked
  if (is_ignored) return leave_ignored(place.path);
  absent_.insert(place.path);
  return copy_whole(place, true);
}

// It may be a submodule's, and away; one that is ignored is a build's.
void CheckpointStage::take_repository(const std::string& directory, bool is_ignored) {
  if (directory.empty()) return;
  const bool is_left = is_ignored && index().is_known() && !is_tracked(directory);
  (is_left ? left_ : absent_).insert(directory);
}

Status CheckpointStage::enter(const Place& directory) {
  if (!entered_.insert(directory.path).second) return ok();
  if (!directory.path.empty()) {
    TRY(make_directory(host(directory.path)));
    TRY(dress(host(directory.path), directory.entry.attributes));
  }
  // It is not copied: the repository has it.
  if (directory.path.empty()) rules_.add("", TRY(read_rules(*store_, root_, ".git/info/exclude")));
  for (const char* name : kRules) TRY(copy_rules(directory, name));
  if (directory.path.empty()) return ok();
  const auto git = TRY(find(*directory.entry.node, ".git"));
  if (!git) return ok();
  const Place place{*git, directory.path + "/.git"};
  if (S_ISDIR(git->attributes.st_mode)) return copy_repository(place);
  TRY(copy_leaf(place));
  return S_ISREG(git->attributes.st_mode) ? copy_linked(place) : ok();
}

Status CheckpointStage::copy_rules(const Place& directory, const std::string& name) {
  const auto found = TRY(find(*directory.entry.node, name));
  if (!found) return ok();
  const std::string path = path_in(directory.path, name);
  if (!fits(path)) return ok();
  TRY(copy_leaf({*found, path}));
  const bool is_plain = S_ISREG(found->attributes.st_mode);
  if (name != kRules[0] || !is_plain || found->attributes.st_size > kLargestRules) return ok();
  rules_.add(directory.path, TRY(file::read(host(path))));
  return ok();
}

// Enough of it to know its commit.
Status CheckpointStage::copy_repository(const Place& git) {
  if (!fits(git.path + "/packed-refs")) return leave(git.path);
  TRY(make_directory(host(git.path)));
  TRY(make_directory(host(git.path + "/objects")));
  for (const char* name : {"HEAD", "config", "packed-refs", "refs"}) {
    const auto found = TRY(find(*git.entry.node, name));
    if (found) TRY(copy_whole({*found, fmt::format("{}/{}", git.path, name)}, false));
  }
  return ok();
}

Status CheckpointStage::copy_linked(const Place& git) {
  if (git.entry.attributes.st_size > PATH_MAX) return ok();
  const std::string text = TRY(file::read(host(git.path)));
  const auto target = place_of_repository(text, git.path);
  if (!target) return ok();
  Place place{.entry = {root_, TRY(store_->attributes(*root_))}};
  for (const std::string_view part : text::split(*target, '/')) {
    auto next = TRY(find(*place.entry.node, std::string(part)));
    if (!next || !S_ISDIR(next->attributes.st_mode)) return ok();
    place = {.entry = std::move(*next), .path = path_in(place.path, std::string(part))};
    if (!fits(place.path)) return leave(git.path);
    TRY(make_directory(host(place.path)));
  }
  return entered_.insert(place.path).second ? copy_repository(place) : ok();
}

Status CheckpointStage::copy_whole(const Place& place, bool honours_rules) {
  if (!fits(place.path)) return leave(place.path);
  if (!S_ISDIR(place.entry.attributes.st_mode)) return take_leaf(place);
  if (honours_rules) {
    TRY(enter(place));
  } else {
    TRY(make_directory(host(place.path)));
    TRY(dress(host(place.path), place.entry.attributes));
  }
  for (const std::string& name : TRY(names_in(*store_, *place.entry.node))) {
    if (honours_rules && name == ".git") continue;
    auto found = TRY(find(*place.entry.node, name));
    if (!found) continue;
    const Place below{std::move(*found), path_in(place.path, name)};
    const bool is_directory = S_ISDIR(below.entry.attributes.st_mode);
    const bool is_ignored = honours_rules && rules_.is_ignored(below.path, is_directory);
    if (is_ignored && is_directory) {
      TRY(leave_ignored(below.path));
    } else if (is_ignored && !is_tracked(below.path)) {
      left_.insert(below.path);
    } else {
      TRY(leave_closed(copy_whole(below, honours_rules), below.path));
    }
  }
  return ok();
}

// An index is not worth its reading for a few.
Status CheckpointStage::take_leaf(const Place& place) {
  constexpr std::size_t kFew = 100;
  const struct stat& attributes = place.entry.attributes;
  const bool may_be_known = !reads_all_ && ++leaves_ > kFew && attributes.st_size <= kLargestFile;
  if (!may_be_known) return copy_leaf(place);
  if (!clean_) clean_ = CleanFiles::of(*store_, *root_);
  auto known = clean_->find(place.path, attributes);
  if (!known) return copy_leaf(place);
  known_.push_back(*std::move(known));
  return ok();
}

Status CheckpointStage::copy_leaf(const Place& place) {
  const mode_t mode = place.entry.attributes.st_mode;
  if (S_ISREG(mode)) return copy_file(place);
  if (!S_ISLNK(mode)) return ok();
  const std::string target = TRY(store_->read_link(*place.entry.node));
  if (::symlink(target.c_str(), host(place.path).c_str()) == 0 || errno == EEXIST) return ok();
  return fail_errno(host(place.path));
}

Status CheckpointStage::copy_file(const Place& place) {
  const struct stat& attributes = place.entry.attributes;
  const std::string path = host(place.path);
  const UniqueFd to(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                           0600 | (attributes.st_mode & S_IXUSR)));
  if (!to && errno == EEXIST) return ok();
  if (!to) return fail_errno(path);
  TRY(dress(path, attributes));
  if (attributes.st_size > kLargestFile) {
    return ::ftruncate(to.get(), attributes.st_size) == 0 ? ok() : fail_errno(path);
  }
  const auto size = static_cast<std::uint64_t>(attributes.st_size);
  if (size > room_) {
    return fail(ENOSPC, "{}: the disk has no room for what a commit would read",
                text::shown(place.path));
  }
  room_ -= size;
  const auto from = TRY(open(*store_, *place.entry.node));
  (void)TRY(copy_bytes(from->descriptor(), to.get(), attributes));
  return from->check_read();
}

}  // namespace agentfs
