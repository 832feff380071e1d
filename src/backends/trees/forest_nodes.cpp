// SPDX-License-Identifier: MIT
#include "backends/trees/forest_nodes.h"

#include <algorithm>

namespace agentfs::trees {

ForestNode::ForestNode(std::shared_ptr<NodeBook> book, TreeRef owner, mode_t type, ino_t number)
    : tree(std::move(owner)),
      book_(std::move(book)),
      device_(book_->device()),
      type_(type),
      number_(number) {}

ForestNode::~ForestNode() { book_->forget(*this); }

std::size_t NodeBook::Hash::operator()(const NameKey& key) const {
  return std::hash<std::string>{}(key.name) ^
         (reinterpret_cast<std::uintptr_t>(key.parent) * 0x9E3779B97F4A7C15ull);
}

std::size_t NodeBook::Hash::operator()(const FileKey& key) const {
  return (reinterpret_cast<std::uintptr_t>(key.disk) * 0x9E3779B97F4A7C15ull) ^
         (reinterpret_cast<std::uintptr_t>(key.tree) >> 4);
}

// A directory has one name, a file one inode. A name that leads elsewhere by now is out of date:
// somebody has changed the disk beside the forest.
ForestNodeRef NodeBook::known(const Place& place) const {
  if (place.disk) {
    const auto file = by_file_.find({place.tree.get(), place.disk.get()});
    if (file != by_file_.end()) return file->second->weak_from_this().lock();
    return nullptr;
  }
  const auto name = by_name_.find({place.parent.get(), place.name});
  if (name == by_name_.end() || name->second->disk) return nullptr;
  return name->second->weak_from_this().lock();
}

ForestNodeRef NodeBook::ensure(Place place) {
  std::vector<ForestNodeRef> dropped;  // ended after the lock
  const Lock lock(mutex_);
  ForestNodeRef node = known(place);
  if (!node) node = place.known;
  if (!node) {
    node = std::make_shared<ForestNode>(shared_from_this(), place.tree, place.type, place.number);
    node->source = std::move(place.source);
    node->epoch = place.epoch;
    node->mark_ = place.mark;
    if (place.disk) by_file_[{place.tree.get(), place.disk.get()}] = node.get();
    node->disk = std::move(place.disk);
  }
  if (!place.parent) return node;
  const NameKey key{place.parent.get(), place.name};
  const auto named = by_name_.find(key);
  if (named != by_name_.end() && named->second == node.get()) return node;
  if (named != by_name_.end()) {
    // One that is ending takes its names along by itself, later.
    dropped.push_back(named->second->weak_from_this().lock());
    if (dropped.back()) dropped.push_back(take_name(*named->second, key));
  }
  put_name(*node, {place.parent, place.name});
  return node;
}

ForestNodeRef NodeBook::find(const ForestNode& parent, const std::string& name) const {
  const Lock lock(mutex_);
  const auto found = by_name_.find({&parent, name});
  return found == by_name_.end() ? nullptr : found->second->weak_from_this().lock();
}

ForestNodeRef NodeBook::find(const Tree& tree, const TreeNode& disk) const {
  const Lock lock(mutex_);
  const auto found = by_file_.find({&tree, &disk});
  return found == by_file_.end() ? nullptr : found->second->weak_from_this().lock();
}

std::vector<ForestNode::Name> NodeBook::names(const ForestNode& node) const {
  const Lock lock(mutex_);
  return node.names_;
}

ForestNodeRef NodeBook::take_name(ForestNode& node, const NameKey& key) {
  by_name_.erase(key);
  const auto place = std::ranges::find_if(node.names_, [&](const ForestNode::Name& name) {
    return name.parent.get() == key.parent && name.name == key.name;
  });
  if (place == node.names_.end()) return nullptr;
  ForestNodeRef parent = std::move(place->parent);
  node.names_.erase(place);
  return parent;
}

void NodeBook::put_name(ForestNode& node, const Entry& entry) {
  by_name_[{entry.parent.get(), entry.name}] = &node;
  const bool has = std::ranges::any_of(node.names_, [&](const ForestNode::Name& name) {
    return name.parent == entry.parent && name.name == entry.name;
  });
  if (!has) node.names_.push_back({entry.parent, entry.name});
}

void NodeBook::remove_name(const ForestNode& parent, const std::string& name) {
  ForestNodeRef node;
  ForestNodeRef kept;
  const Lock lock(mutex_);
  const NameKey key{&parent, name};
  const auto found = by_name_.find(key);
  if (found == by_name_.end()) return;
  node = found->second->weak_from_this().lock();
  if (node) {
    kept = take_name(*node, key);
  } else {
    by_name_.erase(found);
  }
}

void NodeBook::rename(const Entry& from, const Entry& to, bool exchange) {
  ForestNodeRef nodes[2] = {find(*from.parent, from.name), find(*to.parent, to.name)};
  remove_name(*from.parent, from.name);
  remove_name(*to.parent, to.name);
  const Lock lock(mutex_);
  if (nodes[0]) put_name(*nodes[0], to);
  if (nodes[1] && exchange) put_name(*nodes[1], from);
}

void NodeBook::move(ForestNode& node, TreeNodeRef disk) {
  const Lock lock(mutex_);
  if (node.disk) by_file_.erase({node.tree.get(), node.disk.get()});
  by_file_[{node.tree.get(), disk.get()}] = &node;
  std::swap(node.disk, disk);
}

std::vector<ForestNodeRef> NodeBook::all_of(const Tree& tree) const {
  std::vector<ForestNodeRef> nodes;
  const Lock lock(mutex_);
  const auto add = [&](ForestNode* node) {
    if (node->tree.get() != &tree) return;
    if (auto alive = node->weak_from_this().lock()) nodes.push_back(std::move(alive));
  };
  for (const auto& [key, node] : by_file_) add(node);
  for (const auto& [key, node] : by_name_) {
    if (!node->disk) add(node);
  }
  return nodes;
}

void NodeBook::give(const std::vector<ForestNodeRef>& nodes, const TreeRef& tree) {
  const Lock lock(mutex_);
  for (const ForestNodeRef& node : nodes) {
    if (node->disk) {
      by_file_.erase({node->tree.get(), node->disk.get()});
      by_file_[{tree.get(), node->disk.get()}] = node.get();
    }
    node->tree = tree;
  }
}

void NodeBook::remove_names_in(const ForestNode& parent) {
  std::vector<std::string> names;
  {
    const Lock lock(mutex_);
    for (const auto& [key, node] : by_name_) {
      if (key.parent == &parent) names.push_back(key.name);
    }
  }
  for (const std::string& name : names) remove_name(parent, name);
}

void NodeBook::add(ForestNode& node, ForestFile& file) {
  const Lock lock(mutex_);
  node.files_.push_back(&file);
}

void NodeBook::remove(ForestNode& node, ForestFile& file) {
  const Lock lock(mutex_);
  std::erase(node.files_, &file);
}

std::vector<ForestFile*> NodeBook::files(const ForestNode& node) const {
  const Lock lock(mutex_);
  return node.files_;
}

std::optional<Content> NodeBook::content(const ForestNode& node) const {
  const Lock lock(mutex_);
  return node.content_;
}

void NodeBook::set_content(ForestNode& node, Content content) {
  std::optional<Content> dropped;
  const Lock lock(mutex_);
  dropped = std::exchange(node.content_, std::move(content));
}

std::optional<KnownMark> NodeBook::mark(const ForestNode& node) const {
  const Lock lock(mutex_);
  return node.mark_;
}

void NodeBook::set_mark(ForestNode& node, const KnownMark& mark) {
  const Lock lock(mutex_);
  node.mark_ = mark;
}

void NodeBook::forget(ForestNode& node) {
  const Lock lock(mutex_);
  for (const ForestNode::Name& name : node.names_) {
    const auto found = by_name_.find({name.parent.get(), name.name});
    if (found != by_name_.end() && found->second == &node) by_name_.erase(found);
  }
  if (!node.disk) return;
  const auto found = by_file_.find({node.tree.get(), node.disk.get()});
  if (found != by_file_.end() && found->second == &node) by_file_.erase(found);
}

ForestFile::ForestFile(std::shared_ptr<NodeBook> book, ForestNodeRef node,
                       std::unique_ptr<TreeFile> file, int flags)
    : book_(std::move(book)), node_(std::move(node)), file_(std::move(file)), flags_(flags) {
  book_->add(*node_, *this);
}

ForestFile::~ForestFile() { book_->remove(*node_, *this); }

}  // namespace agentfs::trees
