// SPDX-License-Identifier: MIT
// Names of data trees that become others.
#include <fcntl.h>

#include "fs/vfs/charge.h"
#include "fs/vfs/data_guard.h"
#include "fs/vfs/departure.h"
#include "fs/vfs/history_node.h"

namespace agentfs::vfs {
namespace {

// As editors and patch(1) name what they are about to write anew: main.c~, main.c.orig.
bool is_backup_of(std::string_view name, std::string_view other) {
  return other.size() > name.size() && other.starts_with(name);
}

// Of a `.agentfs`: the real directory behind it.
Result<std::shared_ptr<DataNode>> target_of(Request& request, const DataNode& from,
                                            const std::string& name, Node& parent,
                                            const std::string& new_name) {
  auto* const history = dynamic_cast<HistoryNode*>(&parent);
  auto real =
      history != nullptr ? TRY(history->receiving(request, new_name)) : parent.shared_from_this();
  auto target = std::dynamic_pointer_cast<DataNode>(std::move(real));
  if (target != nullptr && &target->tree() == &from.tree()) return target;
  return fail(EXDEV, "{}/{}: cannot be renamed into another tree; copying would do", from.path(),
              name);
}

// What has the new name is kept before `move` takes it away. What nobody has looked at is hardly
// there (`known` is null): then the disk alone is asked, once, and nothing is looked for.
template <typename Move>
Status take_name(Request& request, const DataNode& target, const std::string& new_name,
                 const TreeNodeRef& known, Undertaking& change, const Move& move) {
  const auto* const local = dynamic_cast<const LocalRequest*>(&request);
  const bool is_wanted =
      local != nullptr && local->expected() && local->expected()->node != nullptr;
  if (known == nullptr && !is_wanted && move(RENAME_NOREPLACE)) return ok();
  target.tree().note_former(known, change.row().other);
  Departure replaced(request, target, new_name, change, true);
  TRY(replaced.after(replaced.check() ? move(0) : replaced.check()));
  replaced.tell();
  return ok();
}

}  // namespace

TreeNodeRef DataNode::remembered(const std::string& name) const {
  return tree_->store().remembered(*file_, name);
}

bool DataNode::has_directory(const std::string& name) const {
  const TreeNodeRef file = remembered(name);
  if (file != nullptr) return file->type() == S_IFDIR;
  const auto entry = tree_->store().lookup(*file_, name);
  return entry && entry->node->type() == S_IFDIR;
}

Result<Hold> DataNode::hold_root(const std::string& name) const {
  return file_ == tree_->store().root() ? tree_->services().hold_tree(child(name)) : Hold();
}

// What has become a repository's, or is none any more, and what agentfs itself has one of that name
// for: what the host's kernel believes of it and of what is in it holds no longer, and it is asked
// for where it lies now.
void DataNode::follow_region(const std::string& name, DataNode& target,
                             const std::string& new_name) {
  const bool is_covered = name == kHistoryName || new_name == kHistoryName;
  if (!is_covered && region_of(region_, name) == region_of(target.region_, new_name)) return;
  for (const auto& [directory, child] : {std::pair(this, name), std::pair(&target, new_name)}) {
    if (child == kHistoryName) HistoryNode::replace(*directory);
    const auto entry = tree_->store().lookup(*directory->file_, child);
    if (!entry) continue;  // the old name, where nothing came back for it
    const auto node = tree_->ensure(*entry, region_of(directory->region_, child));
    if (node->type() == S_IFDIR) tree_->follow_regions(node->path());
    tree_->look_again(directory->self(), child);
  }
}

// What an editor moves out of the way before it writes the file anew; else null.
json::Value DataNode::keep_former(const std::string& name, const std::string& new_name) {
  const bool may_be = is_backup_of(name, new_name) && region_of(region_, name) == Region::plain;
  const auto entry = may_be ? tree_->store().lookup(*file_, name) : fail(ENOENT, "nothing");
  return entry ? tree_->keeper().keep_former(*entry) : json::Value();
}

Status DataNode::rename(Request& request, const std::string& name, Node& new_parent,
                        const std::string& new_name, unsigned asked) {
  const unsigned whiteout = asked & RENAME_WHITEOUT;  // left under the old name
  const unsigned flags = asked - whiteout;
  const auto target = TRY(target_of(request, *this, name, new_parent, new_name));
  if (hides(name)) return fail_errno(ENOENT, child(name));
  TRY(target->may_make(request, new_name));
  TRY(tree_->services().check_room(false));
  const Hold root = TRY(told_to(request, *this, hold_root(name)));
  const bool is_other = target.get() != this || new_name != name;
  const Hold to = is_other ? TRY(told_to(request, *target, target->hold_root(new_name))) : Hold();
  Charge charge(*tree_, &request);
  TRY(charge.rename({*this, name}, {*target, new_name}, flags));
  if (whiteout != 0) TRY(charge.make(*this, 0));
  DataGuard guard(request, *tree_, region_of(target->region_, new_name));
  const bool is_exchange = (flags & RENAME_EXCHANGE) != 0;
  const bool is_directory = has_directory(name) || (is_exchange && target->has_directory(new_name));
  const Hold held = flags == 0 ? TRY(target->hold_replaced(request, new_name)) : Hold();
  const auto names = [&] {
    return ChangeOrder::Names{child(name), target->child(new_name), is_directory};
  };
  Undertaking moving(*tree_, TRY(request.writer()), names, {.operation = "rename"});
  TRY(guard.rename(*this, name, *target, new_name, flags));
  const TreeNodeRef file = remembered(name);
  const TreeNodeRef replaced = target->remembered(new_name);
  for (const TreeNodeRef& each : {file, replaced}) TRY(tell_writes_to(each));
  // Two names of one file: the host's kernel does nothing then, and does not ask; but what it has
  // of one of them may be what was there before a restore.
  if (moving.row().path == moving.row().other || (file != nullptr && file == replaced)) {
    return tree_->store().rename(*file_, name, *target->file_, new_name, flags, request.tree());
  }
  json::Value former = target.get() == this ? keep_former(name, new_name) : json::Value();
  if (is_exchange) moving.row().details = {{"exchange", true}};
  if (is_directory) moving.row().details.emplace_back("directory", true);
  const auto move = [&](unsigned how) {
    return tree_->store().rename(*file_, name, *target->file_, new_name, how | whiteout,
                                 request.tree());
  };
  TRY(flags == 0 ? take_name(request, *target, new_name, replaced, moving, move) : move(flags));
  tree_->follow_renamed({moving.row().path, moving.row().other, is_directory, is_exchange});
  if (!former.is_null()) moving.row().details.emplace_back("former", std::move(former));
  follow_region(name, *target, new_name);
  guard.follow({moving.row().path, moving.row().other, is_directory, is_exchange});
  TRY(moving.tell_done());
  guard.done();
  if (whiteout == 0) return ok();
  moving.row() = {.operation = "mknod", .path = moving.row().path, .other = {}};
  TRY(made(request, tree_->store().lookup(*file_, name), name, {moving, charge}));
  return ok();
}

}  // namespace agentfs::vfs
