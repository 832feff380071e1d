// SPDX-License-Identifier: MIT
#include "fs/vfs/data_node.h"

#include <fcntl.h>

#include "fs/vfs/data_tree.h"

namespace agentfs::vfs {
namespace {

// Every change goes through the daemon, which tells the host's kernel of those it makes itself.
constexpr double kTrusted = 3600;

bool opens_for_writing(int flags) {
  return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0;
}

OpenFlags file_flags(bool writable) {
  return {.keep_cache = true, .no_flush = !writable, .parallel_writes = false};
}

}  // namespace

Region region_of(Region parent, const std::string& name) {
  if (parent == Region::own) return Region::own;
  if (parent == Region::plain) return name == ".git" ? Region::git : Region::plain;
  if (parent == Region::git) return name == "refs" ? Region::refs : Region::git;
  return name == "agentfs" ? Region::own : Region::git;
}

std::shared_ptr<DataNode> DataTree::ensure(const TreeNodeRef& file, Region region) {
  Lock lock(mutex_);
  std::weak_ptr<DataNode>& known = nodes_[file.get()];
  if (auto node = known.lock()) return node;
  auto node = std::make_shared<DataNode>(shared_from_this(), file, region);
  known = node;
  return node;
}

void DataTree::forget(const TreeNode* file) {
  Lock lock(mutex_);
  const auto found = nodes_.find(file);
  // A new node may have taken the place between the last reference and now.
  if (found != nodes_.end() && found->second.expired()) nodes_.erase(found);
}

std::string DataTree::path_of(const TreeNode& file) const {
  const std::string root = store_.host_path(*store_.root());
  const std::string host = store_.host_path(file);
  return path_ + (host.starts_with(root) ? host.substr(root.size()) : "/" + host);
}

Status DataTree::record(Request& request, const TreeChange& change) {
  return services_.record_change(TRY(request.writer()), change);
}

Status DataTree::record_open(const Caller& author, const std::string& path,
                             const struct stat& before, int flags) {
  TRY(services_.record_change(author, {.operation = "open", .path = path}));
  if ((flags & O_TRUNC) == 0 || before.st_size == 0) return ok();
  const struct stat empty{};
  return services_.record_change(author,
                                 {.operation = "truncate",
                                  .path = path,
                                  .details = before_and_after(before, empty, SetAttributes::size)});
}

NodeRef make_data_root(Services& services, TreeStore& store, std::string path) {
  auto tree = std::make_shared<DataTree>(services, store, std::move(path));
  return tree->ensure(store.root(), Region::plain);
}

// --- reading

Validity DataNode::validity() const {
  return region_ == Region::own ? Validity{} : Validity{kTrusted, kTrusted};
}

Found DataNode::found(const TreeEntry& entry, const std::string& name) {
  const auto node = tree_->ensure(entry.node, region_of(region_, name));
  return {.node = node, .attributes = entry.attributes, .validity = node->validity()};
}

Result<Attributes> DataNode::attributes(Request&) {
  return Attributes{TRY(tree_->store().attributes(*file_)), validity().attributes};
}

Result<std::string> DataNode::read_link(Request&) { return tree_->store().read_link(*file_); }

Result<Found> DataNode::lookup(Request&, const std::string& name) {
  return found(TRY(tree_->store().lookup(*file_, name)), name);
}

Result<Opened> DataNode::open_directory(Request&) {
  auto file = TRY(tree_->store().open_directory(*file_));
  auto self = std::static_pointer_cast<DataNode>(shared_from_this());
  // Inside a repository the daemon itself makes entries, which no invalidation tells.
  const bool cached = region_ == Region::plain;
  return Opened{std::make_shared<DataHandle>(std::move(self), std::move(file), Caller(), false),
                {.keep_cache = cached, .cache_directory = cached}};
}

Result<struct statvfs> DataNode::statistics(Request&) { return tree_->store().statistics(*file_); }

Status DataNode::access(Request& request, int mask) {
  return tree_->store().access(*file_, mask, request.tree());
}

Result<std::string> DataNode::get_xattr(Request&, const std::string& name) {
  return tree_->store().get_xattr(*file_, name);
}

Result<std::string> DataNode::list_xattr(Request&) { return tree_->store().list_xattr(*file_); }

// --- opening

Result<Opened> DataNode::open(Request& request, int flags) {
  const bool writable = opens_for_writing(flags);
  Caller writer;
  if (writable) writer = TRY(request.writer());
  struct stat before{};
  if ((flags & O_TRUNC) != 0) before = TRY(tree_->store().attributes(*file_));
  auto file = TRY(tree_->store().open(*file_, flags, request.tree()));
  if (writable) TRY(tree_->record_open(writer, path(), before, flags));
  auto self = std::static_pointer_cast<DataNode>(shared_from_this());
  return Opened{
      std::make_shared<DataHandle>(std::move(self), std::move(file), std::move(writer), writable),
      file_flags(writable)};
}

Result<CreatedNode> DataNode::create(Request& request, const std::string& name, int flags,
                                     mode_t mode) {
  Caller writer = TRY(request.writer());
  // Only a file that this call made may be taken away again, so one that is there is just opened.
  auto made_new = tree_->store().create(*file_, name, flags | O_EXCL, mode, request.tree());
  if (!made_new && made_new.error().code == EEXIST && (flags & O_EXCL) == 0) {
    return open_existing(request, name, flags, mode);
  }
  auto created = TRY(std::move(made_new));
  Found entry = TRY(made(request, created.entry, name, {"create"}));
  return opened(std::move(entry), std::move(created.file), std::move(writer), flags);
}

Result<CreatedNode> DataNode::open_existing(Request& request, const std::string& name, int flags,
                                            mode_t mode) {
  Caller writer = TRY(request.writer());
  struct stat before{};
  if ((flags & O_TRUNC) != 0) before = TRY(tree_->store().lookup(*file_, name)).attributes;
  auto created = TRY(tree_->store().create(*file_, name, flags, mode, request.tree()));
  TRY(tree_->record_open(writer, child(name), before, flags));
  return opened(found(created.entry, name), std::move(created.file), std::move(writer), flags);
}

CreatedNode DataNode::opened(Found entry, std::unique_ptr<TreeFile> file, Caller writer,
                             int flags) {
  auto node = std::static_pointer_cast<DataNode>(entry.node);
  auto handle = std::make_shared<DataHandle>(std::move(node), std::move(file), std::move(writer),
                                             opens_for_writing(flags));
  return {std::move(entry), {std::move(handle), file_flags(true)}};
}

// --- changing names

Result<Found> DataNode::made(Request& request, const Result<TreeEntry>& entry,
                             const std::string& name, const Made& row) {
  TRY(entry);
  if (Status told = tree_->record(
          request, {.operation = row.operation, .path = child(name), .other = row.other});
      !told) {
    // Nothing happens that the journal does not tell of.
    const bool is_directory = entry->node->type() == S_IFDIR;
    TRY(is_directory ? tree_->store().remove_directory(*file_, name, request.tree())
                     : tree_->store().unlink(*file_, name, request.tree()));
    return std::unexpected(std::move(told).error());
  }
  return found(*entry, name);
}

Result<Found> DataNode::make_node(Request& request, const std::string& name, mode_t mode,
                                  dev_t device) {
  return made(request, tree_->store().make_node(*file_, name, mode, device, request.tree()), name,
              {"mknod"});
}

Result<Found> DataNode::make_directory(Request& request, const std::string& name, mode_t mode) {
  return made(request, tree_->store().make_directory(*file_, name, mode, request.tree()), name,
              {"mkdir"});
}

Result<Found> DataNode::make_link(Request& request, const std::string& name,
                                  const std::string& target) {
  return made(request, tree_->store().make_link(*file_, name, target, request.tree()), name,
              {"symlink"});
}

Result<Found> DataNode::link(Request& request, Node& existing, const std::string& name) {
  auto* other = dynamic_cast<DataNode*>(&existing);
  if (other == nullptr || other->tree_ != tree_) {
    return fail(EXDEV, "{}: a hard link cannot lead to another tree", child(name));
  }
  const std::string source = other->path();
  return made(request, tree_->store().link(*other->file_, *file_, name, request.tree()), name,
              {"link", source});
}

Status DataNode::unlink(Request& request, const std::string& name) {
  TRY(tree_->store().unlink(*file_, name, request.tree()));
  return tree_->record(request, {.operation = "remove", .path = child(name)});
}

Status DataNode::remove_directory(Request& request, const std::string& name) {
  TRY(tree_->store().remove_directory(*file_, name, request.tree()));
  return tree_->record(request, {.operation = "remove", .path = child(name)});
}

Status DataNode::rename(Request& request, const std::string& name, Node& new_parent,
                        const std::string& new_name, unsigned flags) {
  auto* target = dynamic_cast<DataNode*>(&new_parent);
  if (target == nullptr || target->tree_ != tree_) {
    return fail(EXDEV, "{}: cannot be renamed into another tree; copying would do", child(name));
  }
  TRY(tree_->store().rename(*file_, name, *target->file_, new_name, flags, request.tree()));
  TreeChange row{.operation = "rename", .path = child(name), .other = target->child(new_name)};
  if ((flags & RENAME_EXCHANGE) != 0) row.details = {{"exchange", true}};
  return tree_->record(request, row);
}

}  // namespace agentfs::vfs
