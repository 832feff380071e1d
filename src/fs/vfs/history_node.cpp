// SPDX-License-Identifier: MIT
#include "fs/vfs/history_node.h"

#include <algorithm>

#include "base/text.h"
#include "fs/vfs/link_node.h"
#include "fs/vfs/readme.h"
#include "fs/vfs/synthetic_directory.h"

namespace agentfs::vfs {
namespace {

// As the directory is listed, with links in the place of all but README.
class LinksHandle final : public Handle {
 public:
  explicit LinksHandle(std::shared_ptr<Handle> listed) : listed_(std::move(listed)) {}
  Status read_directory(Request& request, off_t offset, const EmitItem& each) override {
    return listed_->read_directory(request, offset, [&](const DirectoryItem& item) {
      DirectoryItem shown = item;
      if (item.name != kReadme && item.name != "." && item.name != "..") shown.type = S_IFLNK;
      return each(shown);
    });
  }

 private:
  const std::shared_ptr<Handle> listed_;
};

// The host's kernel knows the real directory by this node: what is changed in the real one past it
// would be told of a node that it does not know.
Result<Found> unremembered(Result<Found> found) {
  if (found) found->validity.entry = 0;
  return found;
}

}  // namespace

std::string history_place(std::string_view root) {
  return fmt::format("/{}{}", kHistoryName, root);
}

NodeRef HistoryNode::find(const std::shared_ptr<DataNode>& parent) {
  const HistoryTable table = parent->tree().history();
  const ContextRef context = table.context.lock();
  if (context == nullptr || table.type == nullptr || parent->region() != Region::plain) return {};
  const std::string directory = parent->path();
  // A snapshot, or what was removed, lies below no name.
  if (!directory.starts_with(child_path(parent->tree().path(), ""))) return {};
  const std::string root(text::first_parts(directory, 2));
  if (root.empty()) return {};
  const std::string path = child_path(directory, kHistoryName);
  // A directory that is made again under the same path is another parent.
  std::string key = fmt::format("{}#{}", path, parent->file().inode());
  return context->interned.ensure(key, [&]() -> NodeRef {
    auto ours = std::make_shared<SyntheticDirectory>(context, *table.type, Key{root}, path,
                                                     S_IFDIR | 0755U);
    return std::make_shared<HistoryNode>(parent, std::move(ours), root, key);
  });
}

HistoryNode::~HistoryNode() {
  if (const ContextRef context = parent_->tree().history().context.lock()) {
    context->interned.forget(key_);
  }
}

bool HistoryNode::is_ours(const std::string& name) const {
  const auto rows = this->rows().rows();
  return name == kReadme || std::ranges::find(rows, name, &RowInfo::name) != rows.end();
}

NodeRef HistoryNode::real() const {
  const auto entry = parent_->tree().store().lookup(parent_->file(), std::string(kHistoryName));
  if (!entry || entry->node->type() != S_IFDIR) return nullptr;
  return parent_->tree().ensure(entry->node, Region::plain);
}

Result<NodeRef> HistoryNode::receiving(Request& request, const std::string& name) {
  if (is_ours(name)) {
    return fail(EACCES, "{}/{}: is generated; another name would do", path(), name);
  }
  if (NodeRef directory = real()) return directory;
  std::vector<std::string> names;
  for (const RowInfo& row : rows().rows()) names.emplace_back(row.name);
  if (const std::string meant = text::did_you_mean(name, names); !meant.empty()) {
    Error error{EACCES, fmt::format("{}/{}: no such file{}", path(), name, meant)};
    parent_->tree().services().note_error(request.caller(), path(), error);
    return std::unexpected(std::move(error));
  }
  NodeRef made = TRY(parent_->make_directory(request, std::string(kHistoryName), 0755)).node;
  parent_->distrust_listing();
  return made;
}

Result<NodeRef> HistoryNode::holding(const std::string& name) const {
  NodeRef directory = real();
  if (directory != nullptr) return directory;
  if (is_ours(name)) return fail(EPERM, "{}/{}: is generated; it stays", path(), name);
  return fail(ENOENT, "{}/{}: no such file", path(), name);
}

Result<Attributes> HistoryNode::attributes(Request& request) {
  const NodeRef directory = real();
  Attributes answer = TRY((directory != nullptr ? directory : ours_)->attributes(request));
  answer.validity = 0;  // the real one comes and goes
  return answer;
}

Result<Attributes> HistoryNode::set_attributes(Request& request, Handle* open,
                                               const SetAttributes& wanted) {
  const NodeRef directory = real();
  return (directory != nullptr ? directory : ours_)->set_attributes(request, open, wanted);
}

Result<Found> HistoryNode::lookup(Request& request, const std::string& name) {
  const NodeRef directory = is_ours(name) ? nullptr : real();
  if (directory != nullptr) return unremembered(directory->lookup(request, name));
  if (!is_ours(name)) return fail(ENOENT, "{}/{}: no such file", path(), name);
  if (request.part() == Part::trees && name != kReadme) return led_away(request, name);
  return ours_->lookup(request, name);
}

// Relative, so that it leads there wherever the mount is, and in a sandbox.
Result<Found> HistoryNode::led_away(Request& request, const std::string& name) const {
  const ContextRef context = parent_->tree().history().context.lock();
  if (context == nullptr) return fail(ENOENT, "{}/{}: no such file", path(), name);
  std::string target;
  for (auto depth = std::ranges::count(path(), '/'); depth > 0; --depth) target += "../";
  target += child_path(history_place(root_), name).substr(1);
  const NodeRef link = find_link(context, child_path(path(), name), target);
  const Attributes attributes = TRY(link->attributes(request));
  return Found{link, attributes.attributes, {0, attributes.validity}};
}

Result<Opened> HistoryNode::open_directory(Request& request) {
  if (const NodeRef directory = real()) return directory->open_directory(request);
  Opened opened = TRY(ours_->open_directory(request));
  if (request.part() == Part::trees) {
    opened.handle = std::make_shared<LinksHandle>(std::move(opened.handle));
  }
  return opened;
}

Result<CreatedNode> HistoryNode::create(Request& request, const std::string& name, int flags,
                                        mode_t mode) {
  CreatedNode made = TRY(TRY(receiving(request, name))->create(request, name, flags, mode));
  made.found.validity.entry = 0;
  return made;
}

Result<Found> HistoryNode::make_node(Request& request, const std::string& name, mode_t mode,
                                     dev_t device) {
  return unremembered(TRY(receiving(request, name))->make_node(request, name, mode, device));
}

Result<Found> HistoryNode::make_directory(Request& request, const std::string& name, mode_t mode) {
  return unremembered(TRY(receiving(request, name))->make_directory(request, name, mode));
}

Result<Found> HistoryNode::make_link(Request& request, const std::string& name,
                                     const std::string& target) {
  return unremembered(TRY(receiving(request, name))->make_link(request, name, target));
}

Result<Found> HistoryNode::link(Request& request, Node& existing, const std::string& name) {
  return unremembered(TRY(receiving(request, name))->link(request, existing, name));
}

Status HistoryNode::unlink(Request& request, const std::string& name) {
  return TRY(holding(name))->unlink(request, name);
}

Status HistoryNode::remove_directory(Request& request, const std::string& name) {
  return TRY(holding(name))->remove_directory(request, name);
}

Status HistoryNode::rename(Request& request, const std::string& name, Node& new_parent,
                           const std::string& new_name, unsigned flags) {
  return TRY(holding(name))->rename(request, name, new_parent, new_name, flags);
}

Result<struct statvfs> HistoryNode::statistics(Request& request) {
  return parent_->statistics(request);
}

Status HistoryNode::access(Request& request, int mask) {
  const NodeRef directory = real();
  return (directory != nullptr ? directory : ours_)->access(request, mask);
}

}  // namespace agentfs::vfs
