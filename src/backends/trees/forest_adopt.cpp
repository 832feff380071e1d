// SPDX-License-Identifier: MIT
// Files that come into a tree from outside, and go there.
#include <algorithm>
#include <cstdio>

#include "backends/trees/disk_files.h"
#include "backends/trees/forest_store.h"
#include "base/temporary_name.h"
#include "base/text.h"

namespace agentfs::trees {
namespace {

// No snapshot has it, nor what was brought there: that came with all its names, and goes with them.
// A start does not know that any more, and would keep both for the newest one.
bool is_where_merges_stage(ForestDisk& disk, const ForestNode& directory) {
  const auto names = disk.book().names(directory);
  return std::ranges::any_of(names, [&](const ForestNode::Name& name) {
    const auto above = disk.book().parents(*name.parent);
    return name.name == kMergeDirectory && std::ranges::find(above, disk.top_node) != above.end();
  });
}

}  // namespace

// An inode that comes into a tree below another one.
struct ForestStore::Newcomer {
  std::string path;
  ino_t inode = 0;
  bool directory = false;
};

// What lies at the path and below it, without marks of a tree that it was copied from: the kernel
// copies these with a file.
Status ForestStore::inspect(int directory, const std::string& path,
                            std::vector<Newcomer>& all) const {
  struct stat attributes{};
  if (::fstatat(directory, path.c_str(), &attributes, AT_SYMLINK_NOFOLLOW) != 0) {
    return fail_errno(text::shown(path));
  }
  f_->marks().remove_all(Spot::in(directory, path));
  const bool is_directory = S_ISDIR(attributes.st_mode);
  all.push_back({path, attributes.st_ino, is_directory});
  if (!is_directory) return ok();
  const UniqueFd opened(
      ::openat(directory, path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!opened) return fail_errno(text::shown(path));
  const auto entries = TRY(list_directory(opened.get()));
  for (const HostEntry& entry : entries) {
    TRY(inspect(directory, fmt::format("{}/{}", path, entry.name), all));
  }
  return ok();
}

// As what made() does for one that was made here.
void ForestStore::settle_newcomer(const ForestNode& parent, int root, const Newcomer& one) {
  if (parent.tree->epoch == 0) {
    f_->ids().take_plain(one.inode);
    return;
  }
  if (const ino_t id = f_->ids().number_for_new(one.inode); id != 0) {
    f_->marks().set_file(Spot::in(root, one.path), {.id = id});
  }
  if (!one.directory) return;
  const UniqueFd fd(::openat(root, one.path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (fd) parent.tree->line->made(ForestDisk::key_of(fd.get()));
}

Result<TreeEntry> ForestStore::adopt(int directory, const std::string& name, const TreeNode& any,
                                     const std::string& new_name) {
  const auto parent = TRY(own(any));
  TRY(check_name(new_name));
  if (f_->is_top(*parent)) {
    return fail(EINVAL, "{}: a whole tree is not taken from outside", text::shown(new_name));
  }
  std::vector<Newcomer> all;
  TRY(inspect(directory, name, all));
  const auto alone = alone_with({parent.get()});
  TRY(f_->prepare_directory(*parent));
  const Borrowed to = TRY(f_->borrow(*parent));
  for (const Newcomer& one : all) {
    if (one.path != name) settle_newcomer(*parent, directory, one);
  }
  if (::renameat2(directory, name.c_str(), to.get(), new_name.c_str(), RENAME_NOREPLACE) != 0) {
    return fail_errno(text::shown(new_name));
  }
  return made(*parent, new_name, TRY(f_->open_entry(to.get(), new_name)));
}

Status ForestStore::expel(const TreeNode& any, const std::string& name, int directory,
                          const std::string& new_name, const TreeCaller& caller) {
  const auto parent = TRY(own(any));
  TRY(check_name(name));
  if (is_hidden(*parent, name)) return fail_errno(ENOENT, text::shown(name));
  const auto act = [&](const ForestNodeRef& victim, bool last) -> Status {
    const NameChanges::Change change(names_);
    Status done = f_->disk().expel(*parent->disk, name, directory, new_name, caller);
    if (done) removed(victim, last);
    if (done) f_->book().remove_name(*parent, name);
    return done;
  };
  {
    const std::shared_lock together(mutex_);
    const Lender* const lender = f_->marks().lender();
    const bool may_be_lent = lender != nullptr && lender->is_astray();
    if (is_plain(*parent) && parent->prepared() && !may_be_lent) return act(nullptr, true);
  }
  const auto alone = alone_with({parent.get()});
  const auto staged = is_where_merges_stage(*f_, *parent) ? f_->find_alone(*parent, name)
                                                          : fail(ENOENT, "{}", name);
  if (staged) {
    const bool is_last = staged->node->type() == S_IFDIR || staged->attributes.st_nlink == 1;
    return act(std::static_pointer_cast<ForestNode>(staged->node), is_last);
  }
  TRY(f_->prepare_directory(*parent));
  const auto victim = TRY(prepare_victim(*parent, name));
  if (victim && f_->lends(*victim)) return fail(EBUSY, "{}: its bytes are lent", text::shown(name));
  return act(victim, true);
}

}  // namespace agentfs::trees
