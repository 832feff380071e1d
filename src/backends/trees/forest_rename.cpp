// SPDX-License-Identifier: MIT
// Renaming: in one tree, of whole trees, and between trees that were never forked.
#include <cstdio>

#include "backends/trees/forest_store.h"
#include "base/log.h"
#include "base/text.h"

namespace agentfs::trees {

struct ForestStore::Renaming {
  ForestNodeRef from;
  std::string name;
  ForestNodeRef to;
  std::string new_name;
  unsigned flags = 0;
  bool exchanges() const { return (flags & RENAME_EXCHANGE) != 0; }
};

Status ForestStore::rename(const TreeNode& from, const std::string& name, const TreeNode& to,
                           const std::string& new_name, unsigned flags, const TreeCaller& caller) {
  const Renaming names{TRY(own(from)), name, TRY(own(to)), new_name, flags};
  TRY(check_name(name));
  TRY(check_name(new_name));
  if (is_hidden(*names.from, name)) return fail_errno(ENOENT, text::shown(name));
  TRY(check_new(*names.to, new_name));
  TRY(f_->check_readable(*names.from, name));
  TRY(f_->check_readable(*names.to, new_name));
  preserve(*names.from, name, false);
  if (names.exchanges()) preserve(*names.to, new_name, false);
  {
    const std::shared_lock together(mutex_);
    const bool prepared = names.from->prepared() && names.to->prepared();
    const bool in_one = is_plain(*names.from) && names.from->tree == names.to->tree;
    const bool is_plain_one =
        in_one && prepared && !moves_directory(names) && !needs_rights(caller);
    if (is_plain_one) return rename_plain(names, caller);
  }
  ForestNodeRef lent;
  {
    const auto alone = alone_with({names.from.get(), names.to.get()});
    const Status done = rename_alone(names, caller, &lent);
    if (!lent) return done;
  }
  // Whoever else has the inode reads it after this change, too: a merge, a version. Where the bytes
  // are not there any more, nobody has them.
  if (const Status fetched = fetch(*lent); !fetched) {
    log::info("a lent file is replaced without its bytes: {}", fetched.error().message);
  }
  const auto alone = alone_with({names.from.get(), names.to.get()});
  return rename_alone(names, caller, nullptr);
}

// Two directories that change places in the tree at once would be told to the book in another order
// than the disk made of it, and each could end up below the other.
bool ForestStore::moves_directory(const Renaming& names) const {
  if (names.from == names.to) return false;
  const auto is_directory = [&](const ForestNode& parent, const std::string& name) {
    const auto node = f_->book().find(parent, name);
    return node && node->is_directory();
  };
  return is_directory(*names.from, names.name) ||
         (names.exchanges() && is_directory(*names.to, names.new_name));
}

// Two names of one file stay as they are, says POSIX.
Status ForestStore::rename_plain(const Renaming& names, const TreeCaller& caller) {
  const auto& [from, name, to, new_name, flags] = names;
  const NameChanges::Change change(names_);
  Status done = f_->disk().rename(*from->disk, name, *to->disk, new_name, flags, caller);
  if (done) {
    const auto moved = f_->book().find(*from, name);
    const bool same = moved && moved == f_->book().find(*to, new_name);
    if (!same) f_->book().rename({from, name}, {to, new_name}, names.exchanges());
  }
  return done;
}

// A file of one name may change trees as long as neither shares files. Of directories nobody knows
// whether a file in them has a name outside: were one of the trees forked later, what is written
// under that name would reach the fork.
Status ForestStore::check_trees(const Renaming& names) {
  if (names.from->tree == names.to->tree) return ok();
  const auto may_leave = [&](ForestNode& parent, const std::string& name) {
    const auto entry = f_->find_alone(parent, name);
    if (!entry) return true;  // the disk says what is missing
    const auto& node = static_cast<const ForestNode&>(*entry->node);
    return parent.tree->epoch == 0 && node.tree->epoch == 0 && !node.is_directory() &&
           entry->attributes.st_nlink <= 1;
  };
  const bool other = !names.exchanges() || may_leave(*names.to, names.new_name);
  if (names.to->tree->epoch == 0 && may_leave(*names.from, names.name) && other) return ok();
  return fail(EXDEV, "{}: a rename between two trees; a copy would do", text::shown(names.name));
}

// A directory that comes below another one is written to, too: its "..".
Status ForestStore::move_on_disk(const Renaming& names, const ForestNodeRef& moved,
                                 const ForestNodeRef& other, const TreeCaller& caller) {
  const auto& [from, name, to, new_name, flags] = names;
  std::vector<OwnerRights> lent;
  const auto lend = [&](const ForestNodeRef& node, const ForestNode& above,
                        const std::string& below) -> Status {
    if (!node || !node->is_directory() || from == to) return ok();
    lent.push_back(TRY(f_->lend(*node, S_IWUSR)));
    return lent.back().may_move_to(fmt::format("{}/{}", f_->disk().host_path(*above.disk), below));
  };
  if (needs_rights(caller)) {
    lent.push_back(TRY(f_->lend(*from, S_IWUSR | S_IXUSR)));
    lent.push_back(TRY(f_->lend(*to, S_IWUSR | S_IXUSR)));
    TRY(lend(moved, *to, new_name));
    if (names.exchanges()) TRY(lend(other, *from, name));
  }
  return f_->disk().rename(*from->disk, name, *to->disk, new_name, flags, caller);
}

// What is in the way and lent is told in `lent`, and nothing is renamed; null: it may lose its
// bytes.
Status ForestStore::rename_alone(const Renaming& names, const TreeCaller& caller,
                                 ForestNodeRef* lent) {
  const auto& [from, name, to, new_name, flags] = names;
  for (const ForestNodeRef& one : {from, to}) {
    if (one->follows) f_->catch_up(*one);
    if (one->tree->refusal == ESTALE) return f_->refuse(*one);
  }
  TRY(check_trees(names));
  TRY(f_->prepare_directory(*from));
  TRY(f_->prepare_directory(*to));
  const auto entry = f_->find_alone(*from, name);
  const auto moved =
      entry ? std::static_pointer_cast<ForestNode>(entry->node) : ForestNodeRef(nullptr);
  ForestNodeRef other;
  bool last = false;
  const bool replaces = may_replace(flags) && moved;
  if (moved && (replaces || names.exchanges())) {
    const auto found = f_->find_alone(*to, new_name);
    if (found) other = std::static_pointer_cast<ForestNode>(found->node);
  }
  const bool same = moved && moved == other;
  if (replaces && other && !same) {
    if (lent != nullptr && f_->lends(*other)) {
      *lent = other;
      return ok();
    }
    TRY(prepare_victim(*to, new_name));
    last = other->is_directory() || !other->has_other_names(TRY(f_->attributes(*other)));
  }
  if (moved) TRY(f_->keep_time(*moved));
  if (other && names.exchanges()) TRY(f_->keep_time(*other));
  TRY(move_on_disk(names, moved, other, caller));
  if (same) return ok();
  for (const ForestNodeRef& node : {moved, other}) {
    if (node && node->is_directory() && node->tree->line) ++node->tree->line->shifts;
  }
  const NameChanges::Change change(names_);
  if (replaces) removed(other, last);
  f_->book().rename({from, name}, {to, new_name}, names.exchanges());
  renamed_trees(names, moved, other);
  return ok();
}

// --- trees

void ForestStore::renamed_trees(const Renaming& names, const ForestNodeRef& moved,
                                const ForestNodeRef& other) {
  const bool within_top = f_->is_top(*names.from) && f_->is_top(*names.to);
  if (within_top) {
    const auto rename = [&](const ForestNodeRef& node, const std::string& name) {
      if (node && node->tree->line && node->is_directory()) {
        f_->live[node->tree->line->number()] = name;
      }
    };
    rename(moved, names.new_name);
    if (names.exchanges()) rename(other, names.name);
    return;
  }
  if (names.from->tree == names.to->tree) return;
  settle_tree(moved, *names.to, names.new_name);
  if (names.exchanges()) settle_tree(other, *names.from, names.name);
}

// Nodes of a tree that was never forked, below what has moved, are of another one now.
void ForestStore::settle_tree(const ForestNodeRef& moved, ForestNode& to, const std::string&) {
  if (!moved) return;
  const TreeRef before = moved->tree;
  TreeRef after = to.tree;
  if (f_->is_top(to) && moved->is_directory()) {
    after = std::make_shared<Tree>();
    f_->set_tree(*moved->disk, after);
  }
  std::vector<ForestNodeRef> nodes;
  for (auto& node : f_->book().all_of(*before)) {
    if (is_below(node, *moved)) nodes.push_back(std::move(node));
  }
  f_->book().give(nodes, after);
}

bool ForestStore::is_below(const ForestNodeRef& node, const ForestNode& top) const {
  ForestNodeRef at = node;
  while (at.get() != &top) {
    auto names = f_->book().names(*at);
    if (names.empty()) return false;
    at = std::move(names.front().parent);
  }
  return true;
}

}  // namespace agentfs::trees
