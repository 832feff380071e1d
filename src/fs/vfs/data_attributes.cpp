// SPDX-License-Identifier: MIT
// Attributes of files in data trees, changed, and what the journal tells of them.
#include "base/log.h"
#include "base/permissions.h"
#include "base/temporary_name.h"
#include "base/text.h"
#include "base/xattrs.h"
#include "fs/vfs/data_guard.h"
#include "fs/vfs/data_handle.h"
#include "fs/vfs/local_request.h"

namespace agentfs::vfs {
namespace {

// As `touch -d @TEXT` takes it; any time that a file system keeps fits.
std::string moment(const timespec& time) {
  return fmt::format("{}.{:09}", time.tv_sec, time.tv_nsec);
}

json::Object told(const struct stat& values, unsigned which) {
  json::Object members;
  const auto tell = [&](unsigned bit, const char* name, json::Value value) {
    if ((which & bit) != 0) members.emplace_back(name, std::move(value));
  };
  tell(SetAttributes::mode, "mode", fmt::format("{:04o}", values.st_mode & kPermissions));
  tell(SetAttributes::uid, "uid", values.st_uid);
  tell(SetAttributes::gid, "gid", values.st_gid);
  tell(SetAttributes::size, "size", values.st_size);
  tell(SetAttributes::atime, "atime", moment(values.st_atim));
  tell(SetAttributes::mtime, "mtime", moment(values.st_mtim));
  return members;
}

// Nothing but the time of change has moved: cp and tar give a new file the owner that it has.
bool is_as_it_was(const struct stat& before, const struct stat& now, unsigned which) {
  constexpr unsigned kOwned = SetAttributes::mode | SetAttributes::uid | SetAttributes::gid;
  return (which & ~kOwned) == 0 && before.st_mode == now.st_mode && before.st_uid == now.st_uid &&
         before.st_gid == now.st_gid;
}

}  // namespace

json::Object before_and_after(const struct stat& before, const struct stat& after, unsigned which) {
  return {{"before", told(before, which)}, {"after", told(after, which)}};
}

std::optional<timespec> DataNode::birth() {
  const auto found = tree_->store().birth(*file_);
  return found ? std::optional(*found) : std::nullopt;
}

void DataNode::keep_as(PastName name) {
  const std::unique_ptr<const PastName> before(
      kept_as_.exchange(std::make_unique<const PastName>(std::move(name)).release()));
  ++file_->links_aside;
}

std::unique_ptr<const PastName> DataNode::take_kept() {
  std::unique_ptr<const PastName> name(kept_as_.exchange(nullptr));
  if (name != nullptr) --file_->links_aside;
  return name;
}

bool DataNode::is_aside() const {
  return is_retired_ || text::last_part(text::first_parts(path(), 3)) == kMergeDirectory;
}

// A directory that lies aside is on its way elsewhere, or comes back with what is made in it.
Status DataNode::check_in_place() const {
  if (file_->type() == S_IFDIR || !is_aside()) return ok();
  return fail(ESTALE, "{}: has been replaced by a merge, a restore or a command; open it again",
              path());
}

Result<Hold> DataNode::hold_replaced(const Request& request, const std::string& name) const {
  if (dynamic_cast<const LocalRequest*>(&request) == nullptr) return Hold();
  const auto entry = tree_->store().lookup(*file_, name);
  if (!entry || entry->attributes.st_nlink > 1) return Hold();
  return tree_->hold_back(tree_->ensure(*entry, region_of(region_, name)));
}

Result<Changing> DataNode::begin_change(bool of_bytes) {
  for (;;) {
    Changing together(tree_->bytes(), *file_);
    if (!of_bytes || is_retired_) TRY(check_in_place());
    if (kept_as_.load(std::memory_order_relaxed) == nullptr) return together;
    together = {};
    const ChangingAlone alone(tree_->bytes(), *file_);
    part_from_past();
  }
}

Result<ChangingAlone> DataNode::begin_cut(bool by_open) {
  ChangingAlone alone(tree_->bytes(), *file_);
  if (is_retired_) TRY(check_in_place());
  if (by_open) was_cut_by_open_ = true;
  part_from_past();
  return alone;
}

void DataNode::part_from_past() {
  const std::unique_ptr<const PastName> name = take_kept();
  if (name == nullptr) return;
  if (const Status parted = tree_->keeper().separate(*name); !parted) {
    return log::error("past: {}: changed by who has it open: {}", name->path,
                      parted.error().message);
  }
  hide_links(-1);
}

// An open that has kept what it found keeps nothing more.
Status DataNode::begin_setting(DataHandle* handle, std::optional<off_t> size, Resizing& resizing) {
  if (!size) {  // what the past has by a link has its mode and times in its row
    resizing.together = Changing(tree_->bytes(), *file_);
    return check_in_place();
  }
  const auto loses = [&] { return region_ == Region::plain && *size < resizing.before.st_size; };
  if (handle != nullptr) {
    if (loses()) {
      TRY(handle->before_write(*size));
      resizing.kept = handle->keeper().take();
    }
    resizing.together = TRY(begin_change());
    return ok();
  }
  if (const auto past = keeper_past(); past != nullptr && past->has_kept() && loses()) {
    resizing.kept = past->take();
  }
  resizing.alone = TRY(begin_cut());
  // Its size may have been another's when it was looked at first.
  resizing.before = TRY(tree_->store().attributes(*file_));
  if (loses() && resizing.kept.row.is_null() && has_name(resizing.before)) {
    resizing.kept = tree_->keeper().keep_bytes(*file_, path());
  }
  return ok();
}

Result<Attributes> DataNode::set_attributes(Request& request, Handle* open,
                                            const SetAttributes& wanted) {
  const struct stat before = TRY(tree_->store().attributes(*file_));
  const bool truncates = (wanted.which & SetAttributes::size) != 0;
  TRY(tree_->services().check_room(truncates && wanted.values.st_size < before.st_size));
  auto* const handle = dynamic_cast<DataHandle*>(open);
  const TreeFile* file = handle != nullptr ? &handle->file() : nullptr;
  if (const Status there = truncates ? check_in_place() : Status(ok()); !there) {
    // Of a path the host's kernel finds out itself what has it now.
    if (handle != nullptr) tree_->services().note_error(request.caller(), path(), there.error());
    return std::unexpected(there.error());
  }
  TRY(tell_written_past(before));
  if (truncates && handle == nullptr) TRY(tell_writes());
  Charge charge(*tree_, &request);
  if (truncates) charge.touch(*this);
  if ((wanted.which & SetAttributes::uid) != 0) TRY(charge.give(*this, wanted.values.st_uid));
  DataGuard guard(request, *tree_, region_);
  const bool is_publishing = handle != nullptr && handle->is_publishing();
  Undertaking setting(*tree_, TRY(request.writer()), naming(),
                      {.operation = truncates ? "truncate" : "attributes"});
  if (truncates)
    TRY(guard.resize(*this,
                     {before.st_size, wanted.values.st_size, handle == nullptr, is_publishing}));
  Resizing resizing{.before = before};
  const auto size = truncates ? std::optional(wanted.values.st_size) : std::nullopt;
  const Status ready = begin_setting(handle, size, resizing);
  auto now = ready ? tree_->store().set_attributes(*file_, file, wanted, request.tree())
                   : Result<struct stat>(std::unexpected(ready.error()));
  resizing.together = {};
  resizing.alone = {};
  Kept& kept = resizing.kept;
  if (!now) {
    if (handle != nullptr) {
      handle->keeper().put_back(std::move(kept));
    } else {
      tree_->keeper().take_back(kept);
    }
    return std::unexpected(std::move(now).error());
  }
  if (writers_past_ > 0) tree_->bypassed().settle(this, *now);
  if (truncates && handle != nullptr) handle->note_changed();
  if (truncates && handle == nullptr) note_closed(this);
  setting.row().details = before_and_after(resizing.before, *now, wanted.which);
  if (!kept.row.is_null()) setting.row().details.emplace_back("kept", kept.row);
  if (!is_as_it_was(before, *now, wanted.which)) TRY(setting.tell_done());
  guard.done();
  return Attributes{shown(*now), validity(*now).attributes};
}

Status DataNode::tell_mode(Request& request, const struct stat& before) {
  const struct stat now = TRY(tree_->store().attributes(*file_));
  if (now.st_mode == before.st_mode) return ok();
  const ChangeOrder::Turn turn(tree_->order(), naming());
  return tree_->services().record_change(
      TRY(request.writer()), {.operation = "attributes",
                              .path = turn.names().path,
                              .details = before_and_after(before, now, SetAttributes::mode)});
}

Status DataNode::tell_written_past(const struct stat& now) {
  const auto change = writers_past_ > 0 ? tree_->bypassed().look(this, now) : std::nullopt;
  if (!change) return ok();
  const ChangeOrder::Turn turn(tree_->order(), naming());
  TreeChange row = change->row(turn.names().path);
  if (const auto keeper = keeper_past()) return tell_write(change->author, row, *keeper);
  return tree_->services().record_change(change->author, row);
}

Status DataNode::tell_write(const Caller& writer, TreeChange row, WriteKeeper& keeper) {
  Kept kept = keeper.take();
  if (!kept.row.is_null()) row.details.emplace_back("kept", kept.row);
  Status told = tree_->services().record_change(writer, row);
  if (!told) keeper.put_back(std::move(kept));
  return told;
}

void DataNode::keep_before(WriteKeeper& keeper, int file, off_t offset) {
  PastKeeper& past = tree_->keeper();
  const auto copy = keeper.before_write(past, file, [this] { return named_path(); }, offset);
  if (copy) past.note_copy(file_->inode(), *copy);
}

std::shared_ptr<WriteKeeper> DataNode::begin_past(const std::shared_ptr<WriteKeeper>& own,
                                                  bool appends) {
  Lock lock(past_mutex_);
  ++writers_past_;
  if (!appends) ++overwriters_past_;
  if (past_keeper_ == nullptr) past_keeper_ = own;
  return past_keeper_;
}

std::shared_ptr<WriteKeeper> DataNode::keeper_past() {
  Lock lock(past_mutex_);
  return past_keeper_;
}

bool DataNode::end_past(bool appends) {
  Lock lock(past_mutex_);
  if (!appends) --overwriters_past_;
  if (--writers_past_ > 0) return false;
  past_keeper_.reset();
  return true;
}

void DataNode::renew_past(WriteKeeper& keeper) {
  const bool is_due = keeper.has_ever_kept() && !keeper.has_kept() && is_overwritten_past();
  if (!is_due || writers_past_ < 2 || keeper_past().get() != &keeper) return;
  keeper.renew();
  static_cast<void>(tree_->store().use_descriptor(*file_, [&](int file) {
    keep_before(keeper, file, 0);
    return ok();
  }));
}

Result<std::string> DataNode::get_xattr(Request& request, const std::string& name) {
  if (is_told_attribute(name)) return told_attribute(request, *this, name);
  auto value = tree_->store().get_xattr(*file_, name);
  // The host's kernel takes any other error for a reason to let nobody in.
  if (!value && is_acl(name) && value.error().code == EOPNOTSUPP) value.error().code = ENODATA;
  return value;
}

// As the disk itself does: what only a privileged caller may read is not named to another.
Result<std::string> DataNode::list_xattr(Request& request) {
  std::string all = TRY(tree_->store().list_xattr(*file_));
  if (request.tree().uid == 0 || !all.contains("trusted.")) return all;
  std::string names;
  for (const std::string_view name : text::split(all, '\0')) {
    if (!name.empty() && !name.starts_with("trusted.")) names.append(name).push_back('\0');
  }
  return names;
}

Status DataNode::set_xattr(Request& request, const std::string& name, std::string_view value,
                           int flags) {
  if (is_told_attribute(name)) return set_told_attribute(request, *this, name, value);
  TRY(tree_->services().check_room(false));
  told_ = false;
  Charge charge(*tree_, &request);
  TRY(charge.attribute(*this, name.size() + value.size()));
  Undertaking setting(*tree_, TRY(request.writer()), naming(),
                      {.operation = "xattr", .bytes = value.size(), .details = {{"name", name}}});
  {
    const Changing changing = TRY(begin_change(false));
    TRY(tree_->store().set_xattr(*file_, name, value, flags, request.tree()));
  }
  return setting.tell_done();
}

Status DataNode::remove_xattr(Request& request, const std::string& name) {
  if (is_told_attribute(name)) return remove_told_attribute(request, *this, name);
  TRY(tree_->services().check_room(false));
  told_ = false;
  Charge charge(*tree_, &request);
  charge.touch(*this);
  Undertaking removal(*tree_, TRY(request.writer()), naming(),
                      {.operation = "xattr", .details = {{"name", name}, {"removed", true}}});
  {
    const Changing changing = TRY(begin_change(false));
    TRY(tree_->store().remove_xattr(*file_, name, request.tree()));
  }
  return removal.tell_done();
}

}  // namespace agentfs::vfs
