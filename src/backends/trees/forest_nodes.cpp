// SPDX-License-Identifier: MIT
#include "backends/trees/forest_nodes.h"

#include <algorithm>
#include <ranges>

namespace agentfs::trees {

ForestNode::ForestNode(std::shared_ptr<NodeBook> book, TreeRef owner, mode_t type, ino_t number)
    : tree(std::move(owner)),
      book_(std::move(book)),
      device_(book_->device()),
      type_(type),
      number_(number),
      inside_(type == S_IFDIR ? std::make_unique<Inside>() : nullptr) {}

void ForestNode::set_source(std::optional<Source> wanted) {
  source = wanted ? std::make_unique<Source>(*std::move(wanted)) : nullptr;
}

namespace {

thread_local std::vector<ForestNodeRef>* ending = nullptr;

// A node holds the one above: where it was the last to do so, that ends as well, and so on. One
// after the other and not one within the other: a tree may be deeper than a stack has room for.
void let_go(ForestNodeRef node) {
  if (ending != nullptr) return ending->push_back(std::move(node));
  std::vector<ForestNodeRef> left;
  ending = &left;
  for (node.reset(); !left.empty(); node.reset()) {
    node = std::move(left.back());
    left.pop_back();
  }
  ending = nullptr;
}

}  // namespace

ForestNode::~ForestNode() {
  book_->forget(*this);
  while (!names_.empty()) let_go(std::move(names_.extract(names_.begin()).value().parent));
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
  ForestNode* const node = place.parent ? named(*place.parent, place.name) : nullptr;
  if (node == nullptr || node->disk) return nullptr;
  return node->weak_from_this().lock();
}

ForestNodeRef NodeBook::ensure(Place place) {
  std::vector<ForestNodeRef> dropped;  // ended after the lock
  const Lock lock(mutex_);
  ForestNodeRef node = known(place);
  if (!node) node = place.known;
  if (!node) {
    node = std::make_shared<ForestNode>(shared_from_this(), place.tree, place.type, place.number);
    node->set_source(std::move(place.source));
    node->epoch = place.epoch;
    node->collections = place.collections;
    node->mark_ = place.mark;
    if (place.content) node->inside_->content = std::move(place.content);
    if (place.disk) by_file_[{place.tree.get(), place.disk.get()}] = node.get();
    node->disk = std::move(place.disk);
  }
  if (!place.parent) return node;
  ForestNode* const before = named(*place.parent, place.name);
  if (before == node.get()) return node;
  if (before != nullptr) {
    // One that is ending takes its names along by itself, later.
    dropped.push_back(before->weak_from_this().lock());
    if (dropped.back()) dropped.push_back(drop_name(*before, *place.parent, place.name));
  }
  put_name(*node, {place.parent, place.name});
  return node;
}

ForestNode* NodeBook::named(const ForestNode& parent, const std::string& name) {
  return parent.inside_ == nullptr ? nullptr : parent.inside_->entries.find(name);
}

ForestNodeRef NodeBook::find(const ForestNode& parent, const std::string& name) const {
  const Lock lock(mutex_);
  ForestNode* const node = named(parent, name);
  return node == nullptr ? nullptr : node->weak_from_this().lock();
}

ForestNodeRef NodeBook::find(const Tree& tree, const TreeNode& disk) const {
  const Lock lock(mutex_);
  const auto found = by_file_.find({&tree, &disk});
  return found == by_file_.end() ? nullptr : found->second->weak_from_this().lock();
}

std::vector<ForestNode::Name> NodeBook::names(const ForestNode& node) const {
  const Lock lock(mutex_);
  return {node.names_.begin(), node.names_.end()};
}

std::size_t NodeBook::name_count(const ForestNode& node) const {
  const Lock lock(mutex_);
  return node.names_.size();
}

std::vector<ForestNodeRef> NodeBook::parents(const ForestNode& node) const {
  std::vector<ForestNodeRef> all;
  const Lock lock(mutex_);
  for (auto at = node.names_.begin(); at != node.names_.end();) {
    all.push_back(at->parent);
    at = node.names_.upper_bound(at->parent.get());
  }
  return all;
}

std::string NodeBook::label(const ForestNode& node) const {
  const Lock lock(mutex_);
  return node.tree->label;
}

ForestNodeRef NodeBook::drop_name(ForestNode& node, const ForestNode& parent,
                                  const std::string& name) {
  const auto place = node.names_.find(NodeNameOrder::Key(&parent, name));
  if (place == node.names_.end()) return nullptr;
  return std::move(node.names_.extract(place).value().parent);
}

void NodeBook::put_name(ForestNode& node, const Entry& entry) {
  entry.parent->inside_->entries.set(entry.name, node, node.is_directory());
  node.names_.insert({entry.parent, entry.name});
}

NodeBook::Cleared NodeBook::clear_name(const ForestNode& parent, const std::string& name,
                                       const TreeNode* only) {
  ForestNode* const known = named(parent, name);
  if (known == nullptr || (only != nullptr && known != only)) return {};
  ForestNodeRef node = known->weak_from_this().lock();
  parent.inside_->entries.erase(name);
  if (!node) return {};
  ForestNodeRef above = drop_name(*node, parent, name);
  return {std::move(node), std::move(above)};
}

void NodeBook::remove_name(const ForestNode& parent, const std::string& name,
                           const TreeNode* only) {
  Cleared removed;
  const Lock lock(mutex_);
  removed = clear_name(parent, name, only);
}

// What drops out is ended by the caller, after the lock.
void NodeBook::drop_names_in(const ForestNode& parent, std::vector<ForestNodeRef>& dropped) {
  const KnownNames entries = std::exchange(parent.inside_->entries, {});
  const auto drop = [&](const std::string& name, ForestNode* node) {
    dropped.push_back(node->weak_from_this().lock());
    if (!dropped.back()) return;
    ForestNodeRef above = drop_name(*node, parent, name);
    if (!above) return;
    dropped.push_back(drop_former(*node));
    if (node->is_directory()) parent.inside_->formers[name] = node;
    node->former_ = std::make_unique<ForestNode::Name>(std::move(above), name);
  };
  for (const auto& [name, node] : entries.directories()) drop(name, node);
  for (const auto& [name, node] : entries.others()) drop(name, node);
}

void NodeBook::retire_names_in(const ForestNode& parent) {
  std::vector<ForestNodeRef> dropped;
  const Lock lock(mutex_);
  drop_names_in(parent, dropped);
}

void NodeBook::leave_formers(ForestNode& node) {
  auto& formers = node.former_->parent->inside_->formers;
  const auto known = formers.find(node.former_->name);
  if (known != formers.end() && known->second == &node) formers.erase(known);
}

ForestNodeRef NodeBook::drop_former(ForestNode& node) {
  if (!node.former_) return nullptr;
  leave_formers(node);
  ForestNodeRef above = std::move(node.former_->parent);
  node.former_.reset();
  return above;
}

ForestNodeRef NodeBook::former(const ForestNode& parent, const std::string& name) const {
  const Lock lock(mutex_);
  if (parent.inside_ == nullptr) return nullptr;
  const auto found = parent.inside_->formers.find(name);
  return found == parent.inside_->formers.end() ? nullptr : found->second->weak_from_this().lock();
}

void NodeBook::forget_former(ForestNode& node) {
  const Lock lock(mutex_);
  if (node.former_) leave_formers(node);
}

// Of several names of a file one that is not git's, where there is any: by it the file is known.
std::optional<ForestNode::Name> NodeBook::place_of(const ForestNode& node) const {
  constexpr std::size_t kLookedAt = 16;
  const auto is_gits = [](const ForestNode::Name& name) {
    const ForestNode* above = name.parent.get();
    while (!above->names_.empty()) {
      const ForestNode::Name& own = *above->names_.begin();
      if (own.name == ".git") return true;
      above = own.parent.get();
    }
    return false;
  };
  const Lock lock(mutex_);
  if (node.names_.size() > 1) {
    for (const ForestNode::Name& name : node.names_ | std::views::take(kLookedAt)) {
      if (!is_gits(name)) return name;
    }
  }
  if (!node.names_.empty()) return *node.names_.begin();
  return node.former_ == nullptr ? std::nullopt : std::optional(*node.former_);
}

NodeBook::Formers NodeBook::formers_below(const ForestNode& root) const {
  Formers below;
  std::vector<Former>& found = below.directories;
  const Lock lock(mutex_);
  const auto add = [&](const ForestNode& above, std::size_t place) {
    const std::size_t before = found.size();
    const auto take = [&](const KnownNames::Nodes& directories) {
      for (const auto& [name, node] : directories) {
        auto alive = node->weak_from_this().lock();
        if (alive) found.push_back({.node = std::move(alive), .name = name, .above = place});
      }
    };
    take(above.inside_->formers);
    below.names += above.inside_->formers.size();
    if (&above == &root) return found.size() > before;
    take(above.inside_->entries.directories());
    below.names += above.inside_->entries.size();
    return found.size() > before;
  };
  add(root, Former::kTop);
  for (std::size_t i = 0; i < found.size(); ++i) {
    const ForestNodeRef above = found[i].node;
    const bool has_others = add(*above, i);
    found[i].has_others = has_others;
  }
  return below;
}

std::string NodeBook::path_of(const std::vector<Former>& formers, const Former& one) {
  if (one.above == Former::kTop) return one.name;
  return path_of(formers, formers[one.above]) + "/" + one.name;
}

void NodeBook::succeed(ForestNode& former, ForestNode& now) {
  std::vector<ForestNodeRef> dropped;
  TreeNodeRef before;
  TreeRef over;
  std::optional<Content> content;
  const Lock lock(mutex_);
  if (former.disk) by_file_.erase({former.tree.get(), former.disk.get()});
  if (now.disk) {
    by_file_.erase({now.tree.get(), now.disk.get()});
    by_file_[{now.tree.get(), now.disk.get()}] = &former;
  }
  before = std::exchange(former.disk, std::move(now.disk));
  over = std::exchange(former.tree, now.tree);
  former.source = std::move(now.source);
  former.epoch = now.epoch.load();
  former.removed = false;
  content = std::exchange(former.inside_->content, std::move(now.inside_->content));
  former.mark_ = now.mark_;
  dropped.push_back(drop_former(former));
  for (const ForestNode::Name& name : former.names_) dropped.push_back(name.parent);
  former.names_ = std::exchange(now.names_, {});
  for (const ForestNode::Name& name : former.names_) {
    name.parent->inside_->entries.set(name.name, former, former.is_directory());
  }
  drop_names_in(former, dropped);
}

void NodeBook::rename(const Entry& from, const Entry& to, bool exchange) {
  Cleared moved;
  Cleared other;
  const Lock lock(mutex_);
  moved = clear_name(*from.parent, from.name);
  other = clear_name(*to.parent, to.name);
  if (moved.first) put_name(*moved.first, to);
  if (other.first && exchange) put_name(*other.first, from);
}

void NodeBook::move(ForestNode& node, TreeNodeRef disk) {
  const Lock lock(mutex_);
  if (node.disk) by_file_.erase({node.tree.get(), node.disk.get()});
  by_file_[{node.tree.get(), disk.get()}] = &node;
  std::swap(node.disk, disk);
}

// What is nowhere on the disk hangs below what is.
std::vector<ForestNodeRef> NodeBook::all_of(const Tree& tree) const {
  std::vector<ForestNodeRef> nodes;
  const Lock lock(mutex_);
  const auto add = [&](ForestNode* node) {
    if (auto alive = node->weak_from_this().lock()) nodes.push_back(std::move(alive));
  };
  for (const auto& [key, node] : by_file_) {
    if (key.tree == &tree) add(node);
  }
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (!nodes[i]->is_directory()) continue;
    const KnownNames& entries = nodes[i]->inside_->entries;
    for (const auto* const known : {&entries.directories(), &entries.others()}) {
      for (const auto& [name, node] : *known) {
        if (!node->disk && node->tree.get() == &tree) add(node);
      }
    }
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

void NodeBook::add(ForestNode& node, HeldFile file) {
  const Lock lock(mutex_);
  node.files_.push_back(std::move(file));
}

void NodeBook::remove(ForestNode& node, const TreeFile& file) {
  const Lock lock(mutex_);
  std::erase_if(node.files_, [&](const HeldFile& one) { return one.file.get() == &file; });
}

std::vector<HeldFile> NodeBook::files(const ForestNode& node) const {
  const Lock lock(mutex_);
  return node.files_;
}

std::optional<Content> NodeBook::content(const ForestNode& node) const {
  const Lock lock(mutex_);
  return node.inside_ == nullptr ? std::nullopt : node.inside_->content;
}

void NodeBook::set_content(ForestNode& node, Content content) {
  std::optional<Content> dropped;
  const Lock lock(mutex_);
  dropped = std::exchange(node.inside_->content, std::move(content));
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
  ForestNodeRef above;  // ended after the lock
  const Lock lock(mutex_);
  for (const ForestNode::Name& name : node.names_) {
    if (named(*name.parent, name.name) == &node) name.parent->inside_->entries.erase(name.name);
  }
  if (node.former_) above = drop_former(node);
  if (!node.disk) return;
  const auto found = by_file_.find({node.tree.get(), node.disk.get()});
  if (found != by_file_.end() && found->second == &node) by_file_.erase(found);
}

}  // namespace agentfs::trees
