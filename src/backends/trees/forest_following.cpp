// SPDX-License-Identifier: MIT
// Directories that somebody works in while their tree is rolled back: they become those that have
// their place in the state that is, when they are next used.
#include "backends/trees/forest_store.h"

namespace agentfs::trees {

// Only where it is the same directory, and nobody has been given another node for it meanwhile. The
// parent has caught up before, but another rollback may have come since.
void ForestDisk::follow(ForestNode& parent, const std::string& name) {
  if (parent.follows) catch_up(parent);
  const ForestNodeRef former = book().former(parent, name);
  if (!former || !former->follows.exchange(false)) return;
  const bool may_be = parent.tree->refusal == 0 && !book().find(parent, name);
  const auto now = may_be ? find(parent, name) : Result<TreeEntry>(fail_errno(ESTALE, name));
  if (now && now->node->type() == S_IFDIR && now->node->inode() == former->inode()) {
    book().succeed(*former, static_cast<ForestNode&>(*now->node));
  } else {
    book().forget_former(*former);
  }
}

void ForestDisk::catch_up(ForestNode& directory) {
  std::vector<ForestNode::Name> way;
  ForestNodeRef at = directory.shared_from_this();
  while (at->follows) {
    auto place = book().place_of(*at);
    if (!place) break;
    at = place->parent;
    way.push_back(*std::move(place));
  }
  for (auto step = way.rbegin(); step != way.rend(); ++step) follow(*step->parent, step->name);
  directory.follows = false;  // what did not find its place stays what it was
}

bool ForestDisk::is_followed(const ForestNode& parent, const std::string& name) {
  const ForestNodeRef former = book().former(parent, name);
  return former && former->follows;
}

Result<TreeEntry> ForestDisk::find_alone(ForestNode& parent, const std::string& name) {
  follow(parent, name);
  return find(parent, name);
}

Followers ForestStore::followers(const TreeNode& root) {
  const std::shared_lock together(mutex_);
  const auto* const known = dynamic_cast<const ForestNode*>(&root);
  Followers found;
  if (known == nullptr) return found;
  const NodeBook::Formers formers = f_->book().formers_below(*known);
  found.names = formers.names;
  for (const NodeBook::Former& former : formers.directories) {
    if (!former.node->follows) continue;
    found.directories.push_back(former.node);
    if (!former.has_others && found.paths.size() < Followers::kMostPaths) {
      found.paths.push_back(NodeBook::path_of(formers.directories, former));
    }
  }
  return found;
}

// What has the name, with the lock held together with others; alone for as long as a directory
// becomes another.
Result<TreeEntry> ForestStore::look(ForestNode& parent, const std::string& name) {
  for (;;) {
    {
      const std::shared_lock together(mutex_);
      if (!parent.follows && !f_->is_followed(parent, name)) return find(parent, name);
    }
    const std::unique_lock alone(mutex_);
    f_->follow(parent, name);
  }
}

}  // namespace agentfs::trees
