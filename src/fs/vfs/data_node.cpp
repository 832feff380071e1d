// SPDX-License-Identifier: MIT
#include "fs/vfs/data_node.h"

#include <fcntl.h>

#include <algorithm>
#include <optional>

#include "base/log.h"
#include "base/temporary_name.h"
#include "base/text.h"
#include "fs/vfs/charge.h"
#include "fs/vfs/data_guard.h"
#include "fs/vfs/data_handle.h"
#include "fs/vfs/departure.h"
#include "fs/vfs/history_node.h"

namespace agentfs::vfs {
namespace {

// Every change goes through the daemon, which tells the host's kernel of those it makes itself.
constexpr double kTrusted = 3600;

// What a disk may need for one beside an inode: a directory a block, a link where its text is no
// part of the inode.
constexpr std::uint64_t kDirectoryRoom = 1;
constexpr std::size_t kInline = 60;

// Of a file with several names nobody knows at first whether all of them are git's: it is kept as
// if they were not. Of objects git writes none over.
Region first_region(const TreeEntry& entry, Region found) {
  const bool has_others = entry.node->type() == S_IFREG && entry.attributes.st_nlink > 1;
  const bool is_writable = found == Region::git || found == Region::refs;
  return has_others && is_writable ? Region::plain : found;
}

}  // namespace

Region region_of(Region parent, const std::string& name) {
  if (parent == Region::own || parent == Region::objects) return parent;
  if (parent == Region::plain) return name == ".git" ? Region::git : Region::plain;
  if (parent == Region::git && name == "objects") return Region::objects;
  if (parent == Region::git) return name == "refs" ? Region::refs : Region::git;
  return name == "agentfs" ? Region::own : Region::git;
}

std::shared_ptr<DataNode> DataTree::ensure(const TreeEntry& entry, Region region) {
  Lock lock(mutex_);
  std::weak_ptr<DataNode>& known = nodes_[entry.node.get()];
  if (auto node = known.lock()) {
    node->lies_in(region, entry.attributes.st_nlink);
    return node;
  }
  auto node =
      std::make_shared<DataNode>(shared_from_this(), entry.node, first_region(entry, region));
  known = node;
  return node;
}

std::shared_ptr<DataNode> DataTree::ensure_directory(const TreeNodeRef& directory, Region region) {
  return ensure(TreeEntry{directory, {}}, region);
}

void DataTree::follow_regions(const std::string& directory) {
  std::vector<std::shared_ptr<DataNode>> all;
  {
    Lock lock(mutex_);
    for (const auto& [file, known] : nodes_) {
      if (auto node = known.lock()) all.push_back(std::move(node));
    }
  }
  for (const auto& node : all) {
    const std::string path = node->path();
    const auto status = text::is_below(path, directory) ? node->status() : fail_errno(ENOENT, path);
    if (!status) continue;
    Region region = Region::plain;
    for (const std::string_view name : text::split(std::string_view(path).substr(1), '/')) {
      region = region_of(region, std::string(name));
    }
    node->lies_in(region, status->st_nlink);
  }
}

// A file that has a name outside of any .git is no repository's.
void DataNode::lies_in(Region region, nlink_t names) {
  const bool stays = names > 1 && region_ == Region::plain && type() == S_IFREG;
  if (region_ != region && !stays) region_ = region;
}

std::shared_ptr<DataNode> DataTree::find(const TreeNode& file) {
  Lock lock(mutex_);
  const auto found = nodes_.find(&file);
  return found == nodes_.end() ? nullptr : found->second.lock();
}

void DataTree::forget(const TreeNode* file) {
  Lock lock(mutex_);
  const auto found = nodes_.find(file);
  // A new node may have taken the place between the last reference and now.
  if (found == nodes_.end() || !found->second.expired()) return;
  nodes_.erase(found);
  former_.erase(file);
}

std::string DataTree::path_of(const TreeNode& file) const {
  const std::string root = store_.host_path(*store_.root());
  const std::string host = store_.host_path(file);
  return path_ + (host.starts_with(root) ? host.substr(root.size()) : "/" + host);
}

Status DataTree::record_open(const Caller& author, const std::string& path,
                             const struct stat& before, int flags, const Kept& kept) {
  TRY(services_.record_change(author, {.operation = "open", .path = path}));
  const bool is_cut = before.st_size != 0 || !kept.row.is_null();  // it may grow past the daemon
  if ((flags & O_TRUNC) == 0 || !is_cut) return ok();
  const struct stat empty{};
  TreeChange row{.operation = "truncate",
                 .path = path,
                 .details = before_and_after(before, empty, SetAttributes::size)};
  if (!kept.row.is_null()) row.details.emplace_back("kept", kept.row);
  return services_.record_change(author, row);
}

NodeRef make_data_root(Services& services, TreeStore& store, DataParts parts) {
  auto tree = std::make_shared<DataTree>(services, store, std::move(parts));
  tree->quotas().add(tree);
  return tree->ensure_directory(store.root(), Region::plain);
}

void set_history(Node& data_root, const HistoryTable& table) {
  dynamic_cast<DataNode&>(data_root).tree().set_history(table);
}

// --- reading

// Writing clears set-user-id bits without a word to the host's kernel.
Validity DataNode::validity(const struct stat& attributes) const {
  if (region_ == Region::own) return {};
  const bool may_be_cleared =
      S_ISREG(attributes.st_mode) && (attributes.st_mode & (S_ISUID | S_ISGID)) != 0;
  return {kTrusted, writers_past_ > 0 || may_be_cleared ? 0 : kTrusted};
}

Found DataNode::found(const TreeEntry& entry, const std::string& name) {
  const auto node = tree_->ensure(entry, region_of(region_, name));
  const Validity validity = node->validity(entry.attributes);
  node->told_ = validity.attributes > 0;
  return {.node = node, .attributes = node->shown(entry.attributes), .validity = validity};
}

Result<Attributes> DataNode::attributes(Request&) {
  told_ = true;  // before they are read: who changes them meanwhile says that it is not so
  const struct stat now = TRY(tree_->store().attributes(*file_));
  const double valid = validity(now).attributes;
  if (valid == 0) told_ = false;
  return Attributes{shown(now), valid};
}

bool DataNode::has_name(const struct stat& attributes) const {
  return shown(attributes).st_nlink != 0 && !tree_->store().is_over(*file_);
}

std::string DataNode::named_path() const {
  const auto attributes = tree_->store().attributes(*file_);
  return attributes && has_name(*attributes) ? path() : std::string();
}

ChangeOrder::Naming DataNode::naming() const {
  return [this] { return ChangeOrder::Names{.path = path()}; };
}

ChangeOrder::Naming DataNode::naming(const std::string& name, bool whole) const {
  return [this, &name, whole] { return ChangeOrder::Names{.path = child(name), .whole = whole}; };
}

struct stat DataNode::shown(struct stat attributes) const {
  const auto hidden = static_cast<nlink_t>(std::max(hidden_links_.load(), 0));
  attributes.st_nlink -= std::min(attributes.st_nlink, hidden);
  attributes.st_ino = tree_->number(attributes.st_ino);
  return attributes;
}

Result<std::string> DataNode::read_link(Request&) { return tree_->store().read_link(*file_); }

NodeRef DataNode::told_entry(const std::string& name) {
  const TreeNodeRef file = remembered(name);
  const auto node = file != nullptr ? tree_->find(*file) : nullptr;
  return node != nullptr && node->told_ ? node : nullptr;
}

bool DataNode::is_of_merges(const std::string& name) const {
  if (name != kMergeDirectory) return false;
  const std::string root = path();
  return text::first_parts(root, 2) == root;
}

bool DataNode::hides(const std::string& name) const {
  return is_of_merges(name) && tree_->services().is_tree_busy(path());
}

Status DataNode::may_make(Request& request, const std::string& name) const {
  if (!is_of_merges(name)) return ok();
  const Error why{EPERM,
                  fmt::format("{}: merges make ready under this name what they bring; another one "
                              "would do",
                              child(name))};
  tree_->services().note_error(request.caller(), child(name), why);
  return std::unexpected(why);
}

Result<Found> DataNode::lookup(Request& request, const std::string& name) {
  if (hides(name)) return fail_errno(ENOENT, child(name));
  auto entry = tree_->store().lookup(*file_, name);
  const bool is_taken = entry && entry->node->type() != S_IFDIR;
  if (name == kHistoryName && !is_taken) {
    if (const NodeRef history = HistoryNode::find(self())) {
      const Attributes attributes = TRY(history->attributes(request));
      return Found{history, attributes.attributes, {0, attributes.validity}};
    }
  }
  return found(TRY(std::move(entry)), name);
}

// Not what comes and goes without an invalidation: what is the mount's own, and what a commit of
// the daemon makes in a repository.
double DataNode::absence_validity(const std::string& name) const {
  const auto is_of_commits = [](Region region) {
    return region == Region::own || region == Region::objects;
  };
  if (is_of_commits(region_) || is_of_commits(region_of(region_, name))) return 0;
  const bool has_some = region_ == Region::git && (name == "refs" || name == "logs");
  return has_some || name == kHistoryName || name == kMergeDirectory ? 0 : kTrusted;
}

Result<Opened> DataNode::open_directory(Request&) {
  auto file = TRY(tree_->store().open_directory(*file_));
  // Inside a repository the daemon itself makes entries, which no invalidation tells.
  const bool cached = region_ == Region::plain;
  // A listing of the state before a rollback may have the times of the one that is.
  const std::uint64_t rollbacks = tree_->rollbacks();
  const bool is_current = listed_after_.exchange(rollbacks) == rollbacks;
  return Opened{std::make_shared<DataHandle>(self(), std::move(file), Caller(), false),
                {.keep_cache = cached && is_current, .cache_directory = cached}};
}

Result<struct statvfs> DataNode::statistics(Request&) {
  struct statvfs answer = TRY(tree_->store().statistics(*file_));
  if (tree_->quotas().is_active()) show_limits(tree_->quotas(), path(), answer);
  return answer;
}

Status DataNode::access(Request& request, int mask) {
  return tree_->store().access(*file_, mask, request.tree());
}

// --- changing names

Result<Found> DataNode::made(Request& request, const Result<TreeEntry>& entry,
                             const std::string& name, const Making& how) {
  TRY(entry);
  how.charge.made(tree_->ensure(*entry, region_of(region_, name)));
  if (Status told = how.making.tell(); !told) {
    // Nothing happens that the journal does not tell of.
    const bool is_directory = entry->node->type() == S_IFDIR;
    TRY(is_directory ? tree_->store().remove_directory(*file_, name, request.tree())
                     : tree_->store().unlink(*file_, name, request.tree()));
    return std::unexpected(std::move(told).error());
  }
  if (how.guard != nullptr) how.guard->done();
  return found(*entry, name);
}

Result<Found> DataNode::make_node(Request& request, const std::string& name, mode_t mode,
                                  dev_t device) {
  TRY(may_make(request, name));
  Charge charge(*tree_, &request);
  TRY(charge.make(*this, 0));
  Undertaking making(*tree_, TRY(request.writer()), naming(name), {.operation = "mknod"});
  DataGuard guard(request, *tree_, region_of(region_, name));
  TRY(guard.create(*this, name));
  return made(request, tree_->store().make_node(*file_, name, mode, device, request.tree()), name,
              {making, charge, &guard});
}

Result<Found> DataNode::make_directory(Request& request, const std::string& name, mode_t mode) {
  TRY(may_make(request, name));
  Charge charge(*tree_, &request);
  TRY(charge.make(*this, kDirectoryRoom));
  Undertaking making(*tree_, TRY(request.writer()), naming(name, true), {.operation = "mkdir"});
  DataGuard guard(request, *tree_, region_of(region_, name));
  TRY(guard.create(*this, name));
  return made(request, tree_->store().make_directory(*file_, name, mode, request.tree()), name,
              {making, charge, &guard});
}

Result<Found> DataNode::make_link(Request& request, const std::string& name,
                                  const std::string& target) {
  TRY(may_make(request, name));
  Charge charge(*tree_, &request);
  TRY(charge.make(*this, target.size() < kInline ? 0 : target.size()));
  Undertaking making(*tree_, TRY(request.writer()), naming(name), {.operation = "symlink"});
  DataGuard guard(request, *tree_, region_of(region_, name));
  TRY(guard.create(*this, name));
  return made(request, tree_->store().make_link(*file_, name, target, request.tree()), name,
              {making, charge, &guard});
}

Result<Found> DataNode::link(Request& request, Node& existing, const std::string& name) {
  auto* other = dynamic_cast<DataNode*>(&existing);
  if (other == nullptr || other->tree_ != tree_) {
    return fail(EXDEV, "{}: a hard link cannot lead to another tree", child(name));
  }
  TRY(may_make(request, name));
  other->told_ = false;
  // The first name of a file is the file's making.
  const bool is_first = other->nameless_;
  const auto names = [&] {
    return ChangeOrder::Names{.path = child(name), .other = is_first ? "" : other->named_path()};
  };
  Undertaking making(*tree_, TRY(request.writer()), names,
                     {.operation = is_first ? "create" : "link"});
  // Since it was looked up its last name may have got another file, by the daemon itself: the
  // host's kernel looks again.
  if (!is_first) TRY(other->check_in_place());
  if (!is_first && making.row().other.empty()) {
    return fail(ESTALE, "{}: the file that it was to lead to has no name any more", child(name));
  }
  DataGuard guard(request, *tree_, region_of(region_, name));
  TRY(guard.create(*this, name));
  Charge charge(*tree_, &request);
  TRY(charge.link(*this));
  const auto linked = tree_->store().link(*other->file_, *file_, name, request.tree());
  if (linked) other->nameless_ = false;
  return made(request, linked, name, {making, charge, &guard});
}

// Before the name goes: what was written under it is told of it.
Status DataNode::tell_writes_to(const TreeNodeRef& file) const {
  const auto node = file ? tree_->find(*file) : nullptr;
  return node ? node->tell_writes() : ok();
}

Status DataNode::unlink(Request& request, const std::string& name) {
  if (hides(name)) return fail_errno(ENOENT, child(name));
  TRY(tree_->services().check_room(true));
  Charge charge(*tree_, &request);
  charge.remove(*this, name);
  DataGuard guard(request, *tree_, region_of(region_, name));
  Undertaking removal(*tree_, TRY(request.writer()), naming(name), {.operation = "remove"});
  TRY(guard.remove([&] { return removal.row().path; }));
  const TreeNodeRef file = remembered(name);
  if (const Status told = tell_writes_to(file); !told) log::error("{}", told.error().message);
  tree_->note_former(file, removal.row().path);
  Departure departure(request, *this, name, removal);
  TRY(departure.after(departure.has_gone() ? ok()
                                           : tree_->store().unlink(*file_, name, request.tree())));
  forget_claims(*tree_, removal.row().path);
  departure.tell();
  const Status told = removal.tell_done();
  guard.done();
  return told;
}

Status DataNode::remove_directory(Request& request, const std::string& name) {
  if (hides(name)) return fail_errno(ENOENT, child(name));
  const bool is_root = file_ == tree_->store().root();
  const Hold import =
      is_root ? TRY(told_to(request, *this, tree_->services().hold_import(child(name)))) : Hold();
  TRY(tree_->services().check_room(true));
  Charge charge(*tree_, &request);
  charge.remove(*this, name);
  Undertaking removal(*tree_, TRY(request.writer()), naming(name, true), {.operation = "remove"});
  Departure departure(request, *this, name, removal);
  TRY(departure.after(tree_->store().remove_directory(*file_, name, request.tree())));
  if (name == kHistoryName) HistoryNode::replace(*this);
  departure.tell();
  return removal.tell_done();
}

}  // namespace agentfs::vfs
