// SPDX-License-Identifier: MIT
// Trees that came here by a copy, and trees that share files by accident.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>

#include "backends/trees/forest_check.h"
#include "backends/trees/forest_open.h"
#include "base/directory.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/text.h"

namespace agentfs {
namespace trees {
namespace {

UniqueFd open_path(int above, const std::string& name) {
  return UniqueFd(::openat(above, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
}

bool are_trusted(const ForestOptions& options) { return options.trusted && ::geteuid() == 0; }

// --- what trees share

struct Owner {
  std::string tree;
  std::vector<std::string> names;  // paths
  bool is_past = false;            // what nobody writes to
};

// Of each inode with several names, those in each tree. Trees that a forest knows are one owner.
class SharedFiles {
 public:
  explicit SharedFiles(bool trusted) : marks_(trusted) {}

  Status add_all(const std::string& directory);
  // What is kept of the past, after the trees that may share files with it.
  Status add_past(const std::string& directory);
  std::vector<SharedFile> take();

 private:
  Status walk(int directory, const std::string& path, const Owner& owner);

  const Marks marks_;
  std::map<std::pair<dev_t, ino_t>, std::vector<Owner>> owners_;
};

// The empty name is of all that belongs to the forest, which keeps its inodes.
Status SharedFiles::add_all(const std::string& directory) {
  const UniqueFd top(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!top) return fail_errno(directory);
  auto entries = TRY(list_directory(top.get()));
  std::ranges::sort(entries, {}, &HostEntry::name);
  for (const HostEntry& entry : entries) {
    if (entry.type != S_IFDIR) continue;
    const UniqueFd fd = open_path(top.get(), entry.name);
    if (!fd) return fail_errno(directory);
    const std::string path = fmt::format("{}/{}", directory, entry.name);
    const auto mark = marks_.tree(Spot::of(fd.get()));
    const bool is_known = !mark || mark->has_value();  // a damaged mark is one, too
    TRY(walk(fd.get(), path, {.tree = is_known ? "" : path, .names = {}}));
  }
  return ok();
}

Status SharedFiles::add_past(const std::string& directory) {
  const UniqueFd top(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!top && errno == ENOENT) return ok();
  if (!top) return fail_errno(directory);
  return walk(top.get(), directory, {.tree = directory, .names = {}, .is_past = true});
}

Status SharedFiles::walk(int directory, const std::string& path, const Owner& its) {
  const OpenedMode opened(::geteuid() != 0, directory);
  const auto entries = list_directory(directory);
  if (!entries && entries.error().code == EACCES) {
    log::warning("{}: may not be looked into; links in it to other trees stay", path);
    return ok();
  }
  if (!entries) return std::unexpected(entries.error());
  for (const HostEntry& entry : *entries) {
    const std::string below = fmt::format("{}/{}", path, entry.name);
    if (entry.type == S_IFDIR) {
      const UniqueFd fd = open_path(directory, entry.name);
      if (!fd) return fail_errno(below);
      TRY(walk(fd.get(), below, its));
      continue;
    }
    struct stat attributes{};
    if (::fstatat(directory, entry.name.c_str(), &attributes, AT_SYMLINK_NOFOLLOW) != 0) {
      return fail_errno(below);
    }
    if (attributes.st_nlink < 2) continue;
    auto& owners = owners_[{attributes.st_dev, attributes.st_ino}];
    const auto known = std::ranges::find(owners, its.tree, &Owner::tree);
    Owner& owner = known == owners.end() ? owners.emplace_back(its) : *known;
    owner.names.push_back(below);
  }
  return ok();
}

std::vector<SharedFile> SharedFiles::take() {
  std::vector<SharedFile> shared;
  for (auto& [inode, owners] : owners_) {
    const auto forest = std::ranges::find(owners, "", &Owner::tree);
    if (forest != owners.end()) std::rotate(owners.begin(), forest, forest + 1);
    if (owners.front().is_past) continue;
    for (std::size_t i = 1; i < owners.size(); ++i) {
      shared.push_back({.kept = owners.front().names.front(),
                        .tree = owners[i].tree,
                        .cut = std::move(owners[i].names)});
    }
  }
  return shared;
}

// The directory's times are not those of a change that anybody made.
Status put_link(int room, const std::string& copy, const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path();
  const UniqueFd directory(::open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  struct stat attributes{};
  if (!directory || ::fstat(directory.get(), &attributes) != 0) return fail_errno(parent);
  const OpenedMode opened(::geteuid() != 0, directory.get());
  TRY(remove_whole(room, "link"));
  if (::linkat(room, copy.c_str(), room, "link", 0) != 0) return fail_errno(copy);
  if (::renameat(room, "link", AT_FDCWD, path.c_str()) != 0) return fail_errno(path);
  restore_times(Spot::of(directory.get()), attributes);
  return ok();
}

// --- copies of whole forests

// Whether a directory below would have to be read from elsewhere; where that cannot be known, too.
bool has_hollow(const Marks& marks, int top) {
  bool has = false;
  walk_directories(top, [&](int directory, const std::string&, std::size_t) {
    if (has) return std::vector<std::string>();
    const auto source = directory >= 0 ? marks.hollow(Spot::of(directory)) : fail_errno("");
    const bool is_filled = source && !source->has_value();
    const auto entries = is_filled ? list_directory(directory) : fail_errno("");
    has = !entries;
    return has ? std::vector<std::string>() : directories_in(*entries);
  });
  return has;
}

Status remove_marks(const Marks& marks, int top) {
  Status removed = ok();
  walk_directories(top, [&](int directory, const std::string& path, std::size_t) {
    const auto entries = directory >= 0 ? list_directory(directory) : fail_errno(text::shown(path));
    if (!entries && removed) removed = std::unexpected(entries.error());
    if (!removed) return std::vector<std::string>();
    marks.remove_all(Spot::of(directory));
    for (const HostEntry& entry : *entries) {
      if (entry.type != S_IFDIR) marks.remove_all(Spot::in(directory, entry.name));
    }
    return directories_in(*entries);
  });
  return removed;
}

Status move_aside(int from, const std::string& name, const std::string& aside) {
  TRY(file::make_directories(aside, 0700));
  const std::string target = fmt::format("{}/{}", aside, name);
  if (::renameat(from, name.c_str(), AT_FDCWD, target.c_str()) == 0 || errno == ENOENT) return ok();
  return fail_errno(target);
}

Status adopt_tree(const ForestRoom& room, const std::string& name, const std::string& aside,
                  std::vector<std::string>& told) {
  const Marks& marks = room.disk->marks();
  const UniqueFd fd = open_path(room.disk->top(), name);
  if (!fd) return fail_errno(text::shown(name));
  if (has_hollow(marks, fd.get())) {
    TRY(move_aside(room.disk->top(), name, aside));
    told.push_back(
        fmt::format("{}: a fork of which this copy has not all; what it has is in {}/{}, the rest "
                    "only where it "
                    "was copied from",
                    text::shown(name), aside, text::shown(name)));
    return ok();
  }
  if (TRY(list_directory(fd.get())).empty()) {
    told.push_back(
        fmt::format("{}: empty; if it was a fork, its files are only where this was "
                    "copied from",
                    text::shown(name)));
  }
  return remove_marks(marks, fd.get());
}

// Records tell of trees that were forked, and not one of the trees has a mark: which they were is
// not known, nor what they read elsewhere.
Result<bool> has_lost_marks(const ForestRoom& room, const std::vector<std::string>& trees) {
  const UniqueFd lines = open_path(room.hidden.get(), "lines");
  if (!lines || TRY(list_directory(lines.get())).empty()) return false;
  return std::ranges::none_of(trees, [&](const std::string& name) {
    const UniqueFd fd = open_path(room.disk->top(), name);
    if (!fd) return true;
    const auto mark = room.disk->marks().tree(Spot::of(fd.get()));
    return !mark || mark->has_value();
  });
}

// The records go last: until then the forest is refused, and this is done again.
Result<std::vector<std::string>> adopt(const ForestRoom& room, const std::string& aside,
                                       const std::vector<std::string>& past,
                                       const ForestOptions& options) {
  std::vector<std::string> told;
  std::vector<std::string> trees = directories_in(TRY(list_directory(room.disk->top())));
  std::ranges::sort(trees);
  if (TRY(has_lost_marks(room, trees))) {
    told.push_back(fmt::format(
        "{}: this copy has no extended attributes, which say what was a fork; unless it was made "
        "after fsck --solidify, what nobody had changed in one is missing, and only where it was "
        "copied from: see whether that is so of {}",
        room.path, text::shown_some(trees)));
  }
  if (const std::size_t count = room.disk->stand_ins().count(); count != 0) {
    told.push_back(fmt::format(
        "{}: {} files and directories had no room for marks, and what stood in for them names "
        "them as they were where this was copied from; one of these directories that is empty "
        "here may have been hollow",
        room.path, count));
  }
  for (const std::string& name : trees) TRY(adopt_tree(room, name, aside, told));
  const std::string scratch = fmt::format("{}/cut", aside);
  SharedFiles files(are_trusted(options));
  TRY(files.add_all(room.path));
  for (const std::string& name : trees) TRY(files.add_past(fmt::format("{}/{}", aside, name)));
  TRY(files.add_past(fmt::format("/proc/self/fd/{}/lines", room.hidden.get())));
  for (const std::string& directory : past) TRY(files.add_past(directory));
  const auto shared = files.take();
  for (const SharedFile& one : shared) TRY(cut_shared_file(one, scratch, options));
  if (::rmdir(scratch.c_str()) != 0 && errno != ENOENT) return fail_errno(scratch);
  if (!shared.empty()) {
    told.push_back(fmt::format(
        "{}: {} files that two trees shared, or a tree and what is kept of the past, have a copy "
        "in each",
        room.path, shared.size()));
  }
  TRY(move_aside(room.hidden.get(), "ids", aside));
  TRY(move_aside(room.hidden.get(), "marks", aside));
  TRY(move_aside(room.hidden.get(), kStandIns, aside));
  TRY(move_aside(room.hidden.get(), "lines", aside));
  told.push_back(
      fmt::format("{}: the records of forks and checkpoints, which name directories that "
                  "are not here, are in {}/lines; the trees are plain ones now",
                  room.path, aside));
  return told;
}

}  // namespace
}  // namespace trees

Result<std::vector<std::string>> adopt_copied_forest(const std::string& directory,
                                                     const std::string& hidden,
                                                     const std::string& aside,
                                                     const std::vector<std::string>& past,
                                                     const ForestOptions& options) {
  if (!file::exists(hidden)) return std::vector<std::string>();
  std::vector<std::string> told;
  {
    const trees::ForestRoom room = TRY(trees::open_room(directory, hidden, options));
    const Status place = trees::check_place(room, true);
    if (place) return told;
    if (place.error().code != ESTALE) return std::unexpected(place.error());
    told = TRY(trees::adopt(room, aside, past, options));
  }
  const trees::ForestRoom room = TRY(trees::open_room(directory, hidden, options));
  TRY(trees::set_place(room));
  return told;
}

Result<std::vector<SharedFile>> find_shared_files(const std::vector<std::string>& directories,
                                                  const ForestOptions& options) {
  trees::SharedFiles shared(trees::are_trusted(options));
  for (const std::string& directory : directories) TRY(shared.add_all(directory));
  return shared.take();
}

// The copy stands in `scratch` under a name made of the old inode and the tree until every name is
// its own, so that after a crash the rest join those that have moved.
Status cut_shared_file(const SharedFile& file, const std::string& scratch,
                       const ForestOptions& options) {
  using namespace trees;
  TRY(file::make_directories(scratch, 0700));
  const UniqueFd room(::open(scratch.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const UniqueFd old(::open(file.kept.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat attributes{};
  if (!room || !old || ::fstat(old.get(), &attributes) != 0) return fail_errno(file.kept);
  const std::string copy = fmt::format("{}.{:x}", attributes.st_ino, fnv1a(file.tree));
  const Marks marks(are_trusted(options), {.lender = options.lender});
  if (::faccessat(room.get(), copy.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) != 0) {
    TRY(remove_whole(room.get(), "new"));
    (void)TRY(copy_inode(marks, old.get(), room.get(), "new"));
    if (::renameat(room.get(), "new", room.get(), copy.c_str()) != 0) return fail_errno(scratch);
  }
  for (const std::string& name : file.cut) TRY(put_link(room.get(), copy, name));
  if (::unlinkat(room.get(), copy.c_str(), 0) != 0) return fail_errno(scratch);
  return ok();
}

}  // namespace agentfs
