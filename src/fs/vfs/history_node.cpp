// SPDX-License-Identifier: MIT
#include "fs/vfs/history_node.h"

#include <fcntl.h>

#include <algorithm>

#include "base/file.h"
#include "base/text.h"
#include "fs/vfs/link_node.h"
#include "fs/vfs/readme.h"
#include "fs/vfs/scratch_home.h"
#include "fs/vfs/synthetic_directory.h"
#include "fs/vfs/wait_for.h"

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

// A directory that is made again under the same path is another parent.
std::string key_of(const DataNode& parent) {
  return fmt::format("{}#{}", child_path(parent.path(), kHistoryName), parent.file().inode());
}

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
  std::string key = key_of(*parent);
  return context->interned.ensure(key, [&]() -> NodeRef {
    auto ours = std::make_shared<SyntheticDirectory>(context, *table.type, Key{root}, path,
                                                     S_IFDIR | 0755U);
    return std::make_shared<HistoryNode>(parent, std::move(ours), root, key);
  });
}

void HistoryNode::replace(const DataNode& parent) {
  if (const ContextRef context = parent.tree().history().context.lock()) {
    context->interned.replace(key_of(parent));
  }
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
  return parent_->tree().ensure(*entry, Region::plain);
}

std::unexpected<Error> HistoryNode::refused(const Request& request, Error error) const {
  parent_->tree().services().note_error(request.caller(), path(), error);
  return std::unexpected(std::move(error));
}

std::unexpected<Error> HistoryNode::generated(const Request& request,
                                              const std::string& name) const {
  return refused(request,
                 {EACCES, fmt::format("{}/{}: is generated; another name would do", path(), name)});
}

// sed and vim try names that tell nothing of what they are for; with a directory of the user's own
// they are the user's.
bool HistoryNode::is_saving(Request& request, const std::string& name) const {
  if (!is_scratch_name(name) || request.part() == Part::trees) return false;
  if (ours_->lookup(request, name)) return true;
  const bool is_any = name.starts_with("sed") || text::number<std::uint64_t>(name);
  const auto is_beside = [&](const RowInfo& row) { return name.contains(row.name); };
  return (is_any || std::ranges::any_of(rows().rows(), is_beside)) && real() == nullptr;
}

Result<NodeRef> HistoryNode::receiving(Request& request, const std::string& name) {
  if (is_ours(name)) {
    return generated(request, name);
  }
  if (NodeRef directory = real()) return directory;
  std::vector<std::string> names;
  for (const RowInfo& row : rows().rows()) {
    names.emplace_back(row.name);
    const auto verb = std::ranges::find(row.verbs, name, &VerbInfo::word);
    if (verb == row.verbs.end()) continue;
    return refused(request, {EACCES, fmt::format("{0}/{1}: is a command and no file; `echo '{2}' > "
                                                 "{0}/{3}` gives it",
                                                 path(), name, verb->syntax, row.name)});
  }
  if (const std::string meant = text::did_you_mean(name, names); !meant.empty()) {
    return refused(request, {EACCES, fmt::format("{}/{}: no such file{}", path(), name, meant)});
  }
  NodeRef made = TRY(parent_->make_directory(request, std::string(kHistoryName), 0755)).node;
  parent_->distrust_listing();
  return made;
}

NodeRef HistoryNode::holding(Request& request, const std::string& name) const {
  NodeRef directory = is_saving(request, name) ? nullptr : real();
  if (directory == nullptr) return ours_;
  const bool is_hidden = is_ours(name) && !directory->lookup(request, name);
  return is_hidden ? ours_ : directory;
}

Result<Attributes> HistoryNode::attributes(Request& request) {
  const NodeRef directory = real();
  Attributes answer = TRY((directory != nullptr ? directory : ours_)->attributes(request));
  // The real one comes and goes; the generated one has changed no more than its count of names.
  answer.validity = directory != nullptr ? 0 : std::min(answer.validity, kShortly);
  return answer;
}

Result<Attributes> HistoryNode::set_attributes(Request& request, Handle* open,
                                               const SetAttributes& wanted) {
  const NodeRef directory = real();
  return (directory != nullptr ? directory : ours_)->set_attributes(request, open, wanted);
}

// Who stands in it goes along with its directory; what it tells is of the tree that had its name.
Status HistoryNode::check_in_place(const Request& request) const {
  const std::string directory = parent_->path();
  if (text::first_parts(directory, 2) == root_) return ok();
  return refused(request, {ESTALE, fmt::format("{}: is {} by now; by that name it is found", path(),
                                               child_path(directory, kHistoryName))});
}

Result<Found> HistoryNode::lookup(Request& request, const std::string& name) {
  TRY(check_in_place(request));
  if (is_saving(request, name)) return ours_->lookup(request, name);
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
  if (is_saving(request, name)) return ours_->create(request, name, flags, mode);
  CreatedNode made = TRY(TRY(receiving(request, name))->create(request, name, flags, mode));
  made.found.validity.entry = 0;
  return made;
}

Result<Found> HistoryNode::make_node(Request& request, const std::string& name, mode_t mode,
                                     dev_t device) {
  if (is_saving(request, name)) return ours_->make_node(request, name, mode, device);
  return unremembered(TRY(receiving(request, name))->make_node(request, name, mode, device));
}

Result<Found> HistoryNode::make_directory(Request& request, const std::string& name, mode_t mode) {
  return unremembered(TRY(receiving(request, name))->make_directory(request, name, mode));
}

Result<Found> HistoryNode::make_link(Request& request, const std::string& name,
                                     const std::string& target) {
  if (is_saving(request, name)) return ours_->make_link(request, name, target);
  return unremembered(TRY(receiving(request, name))->make_link(request, name, target));
}

Result<Found> HistoryNode::link(Request& request, Node& existing, const std::string& name) {
  return unremembered(TRY(receiving(request, name))->link(request, existing, name));
}

Status HistoryNode::unlink(Request& request, const std::string& name) {
  return holding(request, name)->unlink(request, name);
}

Status HistoryNode::remove_directory(Request& request, const std::string& name) {
  return holding(request, name)->remove_directory(request, name);
}

Status HistoryNode::rename(Request& request, const std::string& name, Node& new_parent,
                           const std::string& new_name, unsigned flags) {
  return wait_for<Nothing>([&](Completion<Nothing> done) {
    start_rename(request, name, new_parent, new_name, flags, done);
  });
}

// A file that lies with the user's, for nothing in its name told what it was made for, is renamed
// onto one of the table. The directory that was made for it goes with it.
Status HistoryNode::save(Request& request, Node& directory, const std::string& name,
                         HistoryNode& other, const std::string& new_name) {
  const NodeRef found = TRY(directory.lookup(request, name)).node;
  const auto* const data = dynamic_cast<const DataNode*>(found.get());
  auto* const table = dynamic_cast<ScratchHome*>(other.ours_.get());
  const bool is_text = data != nullptr && data->type() == S_IFREG && table != nullptr &&
                       request.part() != Part::trees && table->lookup(request, new_name);
  if (!is_text) return other.generated(request, new_name);
  TreeStore& store = data->tree().store();
  const auto size = TRY(store.attributes(data->file())).st_size;
  if (size > static_cast<off_t>(ScratchNode::kLargest)) {
    return refused(request, {EFBIG, fmt::format("{}/{}: has {} bytes; up to {} are taken", path(),
                                                name, size, ScratchNode::kLargest)});
  }
  const auto file = TRY(store.open(data->file(), O_RDONLY, request.tree()));
  std::string text = TRY(file::read(file->descriptor()));
  TRY(wait_for<Nothing>(
      [&](Completion<Nothing> done) { table->receive(request, new_name, std::move(text), done); }));
  TRY(directory.unlink(request, name));
  static_cast<void>(parent_->remove_directory(request, std::string(kHistoryName)));  // if empty
  parent_->distrust_listing();
  return ok();
}

// What was made to save a file of the table saves it. What is about to be the user's is copied by
// whoever renames, as from one disk to another.
void HistoryNode::start_rename(Request& request, const std::string& name, Node& new_parent,
                               const std::string& new_name, unsigned flags,
                               Completion<Nothing> done) {
  const NodeRef from = holding(request, name);
  auto* const other = dynamic_cast<HistoryNode*>(&new_parent);
  const bool saves = from == ours_ && other != nullptr;
  if (from != ours_ && other != nullptr && other->is_ours(new_name) && flags == 0) {
    return done.complete(save(request, *from, name, *other, new_name));
  }
  if (saves && !other->is_ours(new_name) && !other->is_saving(request, new_name)) {
    return done.complete(fail(EXDEV, "{}/{}: is the user's; a copy would do", path(), new_name));
  }
  from->start_rename(request, name, saves ? *other->ours_ : new_parent, new_name, flags, done);
}

Result<struct statvfs> HistoryNode::statistics(Request& request) {
  return parent_->statistics(request);
}

Status HistoryNode::access(Request& request, int mask) {
  const NodeRef directory = real();
  return (directory != nullptr ? directory : ours_)->access(request, mask);
}

}  // namespace agentfs::vfs
