// SPDX-License-Identifier: MIT
// Making, linking and removing entries, and changing attributes.
#include <fcntl.h>
#include <unistd.h>

#include "backends/trees/forest_file.h"
#include "backends/trees/forest_store.h"
#include "base/log.h"
#include "base/text.h"

namespace agentfs::trees {

// --- making

bool ForestStore::is_hidden(const ForestNode& parent, const std::string& name) const {
  return f_->is_top(parent) && name.starts_with(kHiddenTree);
}

Status ForestStore::check_new(const ForestNode& parent, const std::string& name) const {
  if (!f_->is_top(parent) || !name.starts_with(kOwnNames)) return ok();
  return fail(EPERM, "{}: names that begin with {} are agentfs' own", text::shown(name), kOwnNames);
}

// An inode of the disk that is new may have a number by which another file is shown.
Status ForestStore::number_new(const ForestNode& parent, const TreeEntry& entry) {
  const ino_t inode = entry.attributes.st_ino;
  if (parent.tree->epoch == 0) {
    f_->ids().take_plain(inode);
    return ok();
  }
  if (const ino_t id = f_->ids().number_for_new(inode); id != 0) {
    const Borrowed fd = TRY(f_->table().borrow(*entry.node));
    f_->marks().set_file(Spot::of(fd.get()), {.id = id});
  }
  if (S_ISDIR(entry.attributes.st_mode)) parent.tree->line->made(TRY(f_->key_of(*entry.node)));
  return ok();
}

// A new file has no other tree to be shared with: it is prepared.
Result<TreeEntry> ForestStore::made(ForestNode& parent, const std::string& name,
                                    const TreeEntry& entry) {
  const bool directory = S_ISDIR(entry.attributes.st_mode);
  if (directory && f_->is_top(parent)) f_->set_tree(*entry.node, std::make_shared<Tree>());
  TRY(number_new(parent, entry));
  auto place = TRY(f_->place(parent, name, entry, TRY(f_->content(parent))));
  place.epoch = place.tree->epoch;
  auto node = f_->book().ensure(std::move(place));
  const struct stat attributes = TRY(f_->shown(*node, entry.attributes));
  return TreeEntry{std::move(node), attributes};
}

Result<TreeEntry> ForestStore::make(const TreeNode& any,
                                    const std::function<Result<TreeEntry>(const TreeNode&)>& call,
                                    const std::string& name) {
  const auto parent = TRY(own(any));
  TRY(check_new(*parent, name));
  return change(
      *parent, [&] { return f_->prepare_directory(*parent); },
      [&]() -> Result<TreeEntry> { return made(*parent, name, TRY(call(*parent->disk))); });
}

Result<TreeEntry> ForestStore::make_node(const TreeNode& parent, const std::string& name,
                                         mode_t mode, dev_t device, const TreeCaller& caller) {
  const auto call = [&](const TreeNode& disk) {
    return f_->disk().make_node(disk, name, mode, device, caller);
  };
  return make(parent, call, name);
}

Result<TreeEntry> ForestStore::make_directory(const TreeNode& parent, const std::string& name,
                                              mode_t mode, const TreeCaller& caller) {
  const auto call = [&](const TreeNode& disk) {
    return f_->disk().make_directory(disk, name, mode, caller);
  };
  return make(parent, call, name);
}

Result<TreeEntry> ForestStore::make_link(const TreeNode& parent, const std::string& name,
                                         const std::string& target, const TreeCaller& caller) {
  const auto call = [&](const TreeNode& disk) {
    return f_->disk().make_link(disk, name, target, caller);
  };
  return make(parent, call, name);
}

Result<TreeStore::Created> ForestStore::open_existing(const TreeEntry& entry,
                                                      const std::string& name, int flags,
                                                      const TreeCaller& caller) {
  if (entry.node->type() == S_IFDIR) return fail_errno(EISDIR, text::shown(name));
  Created created;
  created.entry = entry;
  created.file = TRY(open(*entry.node, flags, caller));
  created.entry.attributes = TRY(attributes(*entry.node));
  return created;
}

Result<TreeStore::Created> ForestStore::create(const TreeNode& any, const std::string& name,
                                               int flags, mode_t mode, const TreeCaller& caller) {
  const auto parent = TRY(own(any));
  TRY(check_name(name));
  TRY(check_new(*parent, name));
  const auto make = [&]() -> Result<Created> {
    auto created = TRY(f_->disk().create(*parent->disk, name, flags | O_EXCL, mode, caller));
    created.entry = TRY(made(*parent, name, created.entry));
    created.file = std::make_unique<ForestFile>(
        f_->book_ref(), std::static_pointer_cast<ForestNode>(created.entry.node),
        HeldFile{std::move(created.file), flags & kKeptFlags});
    return created;
  };
  for (;;) {
    if ((flags & O_EXCL) == 0) {
      const auto entry = lookup(any, name);
      if (entry) return open_existing(*entry, name, flags, caller);
      if (entry.error().code != ENOENT) return std::unexpected(entry.error());
    }
    auto created = change(*parent, [&] { return f_->prepare_directory(*parent); }, make);
    if (created || (flags & O_EXCL) != 0 || created.error().code != EEXIST) return created;
  }
}

Result<TreeStore::Created> ForestStore::create_nameless(const TreeNode& any, int flags, mode_t mode,
                                                        const TreeCaller& caller) {
  const auto parent = TRY(own(any));
  const auto make = [&]() -> Result<Created> {
    auto created = TRY(f_->disk().create_nameless(*parent->disk, flags, mode, caller));
    TRY(number_new(*parent, created.entry));
    auto place = TRY(f_->place_nameless(*parent, created.entry));
    auto node = f_->book().ensure(std::move(place));
    created.entry.attributes = TRY(f_->shown(*node, created.entry.attributes));
    created.file = std::make_unique<ForestFile>(
        f_->book_ref(), node, HeldFile{std::move(created.file), flags & kKeptFlags});
    created.entry.node = std::move(node);
    return created;
  };
  return change(*parent, [&] { return f_->prepare_directory(*parent); }, make);
}

// A further name changes what the file's other trees would show of it.
Result<TreeEntry> ForestStore::link(const TreeNode& any, const TreeNode& any_parent,
                                    const std::string& name, const TreeCaller& caller) {
  const auto node = TRY(own(any));
  const auto parent = TRY(own(any_parent));
  const auto check = [&]() -> Status {
    if (node->tree->refusal == ESTALE) return f_->refuse(*node);
    if (node->tree == parent->tree || parent->follows) return ok();
    return fail(EXDEV, "{}: a hard link between two trees; a copy would do", text::shown(name));
  };
  const auto act = [&]() -> Result<TreeEntry> {
    const auto entry = TRY(f_->disk().link(*node->disk, *parent->disk, name, caller));
    return find(*parent, name);
  };
  {
    const std::shared_lock together(mutex_);
    TRY(check());
    if (is_plain(*parent) && parent->prepared()) return act();
  }
  for (bool is_fetched = false;; is_fetched = true) {
    const auto ahead = copy_ahead(*node);
    {
      const auto alone = alone_with({parent.get(), node.get()});
      if (parent->follows) f_->catch_up(*parent);
      TRY(check());
      if (node->removed) return fail_errno(ENOENT, text::shown(name));
      TRY(f_->prepare_directory(*parent));
      if (node->is_directory()) return fail_errno(EPERM, text::shown(name));
      // What is lent to the one name would be out of the other's reach.
      if (is_fetched || !f_->lends(*node)) {
        TRY(f_->prepare_file(*node, false));
        return act();
      }
    }
    TRY(fetch(*node));
  }
}

// --- removing

// What is about to lose its place: a directory must be seen by the disk to have entries, and kept
// for snapshots; of a file with more names, the others change with it.
Result<ForestNodeRef> ForestStore::prepare_victim(ForestNode& parent, const std::string& name) {
  const auto entry = f_->find_alone(parent, name);
  if (!entry && entry.error().code == ENOENT) return nullptr;
  if (!entry) return std::unexpected(entry.error());
  auto node = std::static_pointer_cast<ForestNode>(entry->node);
  if (node->is_directory() || node->has_other_names(entry->attributes)) {
    TRY(f_->prepare(*node, false));
  }
  return node;
}

void ForestStore::removed(const ForestNodeRef& victim, bool last) {
  if (!victim || !last) return;
  victim->removed = true;
  const Tree& tree = *victim->tree;
  if (!tree.line || !victim->is_directory()) return;
  f_->linked.leave(*victim);
  const auto live = f_->live.find(tree.line->number());
  if (live == f_->live.end()) return;
  const auto root = f_->book().find(*f_->top_node, live->second);
  if (root != victim) return;
  f_->linked.drop(tree);
  f_->live.erase(live);
  if (Status noted = tree.line->note_dropped(); !noted) log::error("{}", noted.error().message);
  loose_ = true;
  f_->set_tree(*victim->disk, std::make_shared<Tree>());  // its inode may come back as another
}

// Versions, checkpoints and merges go on to read a lent file that is about to leave its place, and
// read it from where it was taken, where something else may come to lie now. Where the bytes are
// not there any more, nobody has them. What leaves the tree that follows the host's directory has
// left that.
void ForestStore::preserve(ForestNode& parent, const std::string& name, bool is_removed) {
  const Lender* const lender = f_->marks().lender();
  const auto is_asked = [&] {
    const std::shared_lock together(mutex_);
    return parent.tree->line && parent.tree->refusal == 0 && !f_->is_of_host(*parent.tree->line);
  };
  if (lender == nullptr || !is_asked()) return;
  TreeNodeRef node = remembered(parent, name);
  if (!node) {
    const auto found = look(parent, name);
    if (!found) return;
    node = found->node;
  }
  const auto& file = static_cast<const ForestNode&>(*node);
  std::optional<Lender::Place> place;
  bool is_closed = false;
  {
    const std::shared_lock together(mutex_);
    const auto fd = f_->lends(file) ? f_->borrow(file) : fail_errno(ENOENT, name);
    if (fd) place = lender->place(fd->get());
    is_closed = fd && !place;
  }
  if (is_closed) {
    const std::unique_lock alone(mutex_);
    const auto fd = f_->borrow(file);
    const auto bits = f_->lend(file, S_IRUSR);
    if (fd && bits) place = lender->place(fd->get());
  }
  const Status kept = place ? lender->preserve(*place, is_removed) : ok();
  if (!kept)
    log::debug("{}: leaves without its bytes: {}", text::shown(name), kept.error().message);
}

Status ForestStore::remove(const TreeNode& any, const std::string& name, bool directory,
                           const TreeCaller& caller) {
  const auto parent = TRY(own(any));
  TRY(check_name(name));
  if (is_hidden(*parent, name)) return fail_errno(ENOENT, text::shown(name));
  if (!directory) preserve(*parent, name, true);
  const auto act = [&](const ForestNodeRef& victim, bool last) -> Status {
    const NameChanges::Change change(names_);
    const auto known = f_->book().find(*parent, name);
    Status done = f_->disk().remove(*parent->disk, name, directory ? AT_REMOVEDIR : 0, caller,
                                    known ? known->disk.get() : nullptr);
    if (done) removed(victim, last);
    if (done) f_->book().remove_name(*parent, name);
    return done;
  };
  {
    const std::shared_lock together(mutex_);
    if (is_plain(*parent) && parent->prepared()) return act(nullptr, false);
  }
  return reserve_.use([&]() -> Status {
    const auto alone = alone_with({parent.get()});
    TRY(f_->prepare_directory(*parent));
    const auto victim = TRY(prepare_victim(*parent, name));
    const bool last =
        victim && (directory || !victim->has_other_names(TRY(f_->attributes(*victim))));
    return act(victim, last);
  });
}

Status ForestStore::unlink(const TreeNode& parent, const std::string& name,
                           const TreeCaller& caller) {
  return remove(parent, name, false, caller);
}

Status ForestStore::remove_directory(const TreeNode& parent, const std::string& name,
                                     const TreeCaller& caller) {
  return remove(parent, name, true, caller);
}

// --- attributes

Result<struct stat> ForestStore::set_attributes(const TreeNode& any, const TreeFile* open,
                                                const SetAttributes& wanted,
                                                const TreeCaller& caller) {
  const auto node = TRY(own(any));
  const bool cuts = (wanted.which & SetAttributes::size) != 0 && node->type() == S_IFREG;
  const bool empties = cuts && wanted.values.st_size == 0;
  const auto prepare = [&]() -> Status {
    if (empties && open == nullptr) TRY(may_write(*node, caller));
    return f_->prepare(*node, empties);
  };
  if (cuts && open == nullptr) {
    TRY(empties ? fetch_before_loss(*node, caller) : fetch(*node, caller));
  }
  const auto act = [&]() -> Result<struct stat> {
    const struct stat set = TRY(f_->disk().set_attributes(*node->disk, open, wanted, caller));
    if ((wanted.which & SetAttributes::mtime) != 0) f_->ahead().set_times(set.st_ino, set);
    if (empties && f_->marks().lender() != nullptr) {
      f_->marks().lender()->release(TRY(f_->borrow(*node)).get());
    }
    return f_->shown(*node, set);
  };
  return change(*node, prepare, act, empties);
}

Status ForestStore::check_xattr(const std::string& name) const {
  if (!f_->marks().is_ours(name)) return ok();
  return fail(EPERM, "{}: kept by the forest; any other name can be set", text::shown(name));
}

Status ForestStore::set_xattr(const TreeNode& any, const std::string& name, std::string_view value,
                              int flags, const TreeCaller& caller) {
  const auto node = TRY(own(any));
  TRY(check_xattr(name));
  const auto set = [&] { return f_->disk().set_xattr(*node->disk, name, value, flags, caller); };
  return change(
      *node, [&] { return f_->prepare(*node, false); },
      [&]() -> Status {
        Status done = set();
        if (done || done.error().code != ENOSPC) return done;
        const Borrowed fd = TRY(f_->borrow(*node));
        return f_->marks().make_room(Spot::of(fd.get())) ? set() : done;
      });
}

Status ForestStore::remove_xattr(const TreeNode& any, const std::string& name,
                                 const TreeCaller& caller) {
  const auto node = TRY(own(any));
  TRY(check_xattr(name));
  return change(
      *node, [&] { return f_->prepare(*node, false); },
      [&] { return f_->disk().remove_xattr(*node->disk, name, caller); });
}

Result<std::string> ForestStore::get_xattr(const TreeNode& any, const std::string& name) {
  const auto node = TRY(own(any));
  if (f_->marks().is_ours(name)) return fail_errno(ENODATA, text::shown(name));
  const std::shared_lock together(mutex_);
  return f_->disk().get_xattr(*TRY(bearer(*node)), name);
}

Result<std::string> ForestStore::list_xattr(const TreeNode& any) {
  const auto node = TRY(own(any));
  const std::shared_lock together(mutex_);
  const std::string all = TRY(f_->disk().list_xattr(*TRY(bearer(*node))));
  std::string names;
  for (const std::string_view name : text::split(all, '\0')) {
    if (name.empty() || f_->marks().is_ours(name)) continue;
    names.append(name).push_back('\0');
  }
  return names;
}

}  // namespace agentfs::trees
