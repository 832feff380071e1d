// SPDX-License-Identifier: MIT
// Open files and directories of a data tree.
#include "fs/vfs/data_handle.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/read_at.h"
#include "fs/vfs/data_guard.h"
#include "fs/vfs/with_room.h"

namespace agentfs::vfs {
namespace {

std::uint64_t as_one(pid_t thread, uid_t user) {
  return static_cast<std::uint64_t>(thread) << 32U | user;
}
constexpr std::uint64_t kNobody = 0;
constexpr std::size_t kCopiedAtOnce = std::size_t{4} << 20U;

// Of so many bytes from there on, how many the file has.
std::size_t within(int file, off_t offset, std::size_t count) {
  struct stat now{};
  if (::fstat(file, &now) != 0 || now.st_size <= offset) return 0;
  return std::min(count, static_cast<std::size_t>(now.st_size - offset));
}

}  // namespace

DataHandle::DataHandle(std::shared_ptr<DataNode> node, std::unique_ptr<TreeFile> file,
                       Caller writer, bool writable)
    : node_(std::move(node)),
      open_(node_, writable ? this : nullptr),
      file_(std::move(file)),
      writable_(writable),
      may_bypass_(node_->type() == S_IFREG && !(writable && awaits_condition(node_->tree())) &&
                  node_->tree().store().may_bypass(node_->file()) &&
                  !node_->tree().quotas().covers(*node_)),
      wrote_last_(as_one(writer.host.pid, writer.host.uid)),
      writer_(std::move(writer)) {}

void DataHandle::read(Request& request, off_t offset, std::size_t count, Completion<Bytes> done) {
  if (file_->is_lent()) {
    auto bytes = read_lent(offset, count);
    if (!bytes) {
      node_->tree().services().note_error(request.caller(), node_->path(), bytes.error());
    }
    return done.complete(std::move(bytes));
  }
  done.complete(Bytes{.text = {}, .descriptor = descriptor(), .offset = offset, .count = count});
}

Result<Bytes> DataHandle::read_lent(off_t offset, std::size_t count) {
  Bytes bytes;
  bytes.text = TRY(read_at(descriptor(), static_cast<std::uint64_t>(offset), count));
  TRY(file_->check_read());
  return bytes;
}

void DataHandle::write(Request& request, off_t offset, std::string_view bytes,
                       Completion<std::size_t> done) {
  DataGuard guard(request, node_->tree(), node_->region());
  if (Status known = attribute(request, guard); !known)
    return done.complete(std::unexpected(known.error()));
  if (request.tree().pid == 0) node_->note_mapped();
  auto count = put(request, offset, bytes);
  if (!count && count.error().code == ESTALE) {
    node_->tree().services().note_error(request.caller(), node_->path(), count.error());
  }
  if (count) guard.done();
  done.complete(std::move(count));
}

// The host's kernel appends where it believes the end to be, and hears last that somebody's open
// has emptied the file: what is appended meanwhile would lie behind a hole, and what comes next
// over that.
off_t DataHandle::place_of(const Request& request, off_t asked) const {
  struct stat now{};
  const bool is_unsure = request.appends() && node_->was_cut_by_open();
  return is_unsure && ::fstat(descriptor(), &now) == 0 ? now.st_size : asked;
}

// All or an error: after a short count the rest says why (ENOSPC, EFBIG, EDQUOT).
Result<std::size_t> DataHandle::put(Request& request, off_t asked, std::string_view bytes) {
  Charge charge(node_->tree(), &request);
  const off_t expected = place_of(request, asked);
  TRY(charge.write(*node_, descriptor(), expected, bytes.size()));
  TRY(before_write(expected));
  std::size_t most = 0;  // is in the file, also where the rest is an error
  const auto put = change(request, "write", [&]() -> long {
    std::size_t done = 0;  // by this attempt, whose place may be another than the last one's
    const off_t offset = place_of(request, asked);  // nobody cuts it from here on
    if (offset != asked) request.put_elsewhere();
    const std::size_t wanted =
        request.is_written_back() ? within(descriptor(), offset, bytes.size()) : bytes.size();
    while (done < wanted) {
      const ssize_t count = ::pwrite(descriptor(), bytes.data() + done, wanted - done,
                                     offset + static_cast<off_t>(done));
      if (count < 0 && errno == EINTR) continue;
      // Of pages that are written back the kernel takes no short count: it would forget the rest.
      if (count < 0 && (done == 0 || request.is_written_back())) return -1;
      if (count < 0) break;  // what is there is there: write(2) tells it as a short count
      most = std::max(most, done += static_cast<std::size_t>(count));
    }
    return static_cast<long>(done);
  });
  if (!put && most > 0) changed(most);
  const auto done = static_cast<std::size_t>(TRY(put));
  return request.is_written_back() ? bytes.size() : done;
}

template <class Call>
Result<long> DataHandle::change(Request& request, const char* name, Call&& call) {
  Services& services = node_->tree().services();
  auto done = with_room(services, [&] { return change_once(request, name, call); });
  if (!done && done.error().code == ENOSPC) {
    services.note_error(request.caller(), node_->path(), done.error());
  }
  return done;
}

// What becomes free on a full disk is first of all the journal's, which has to tell of it.
//
// Of a file with set-user-id or set-group-id, which goes with the first byte that others than root
// write, the disk's kernel judges as for who asks.
template <class Call>
Result<long> DataHandle::change_once(Request& request, const char* name, Call&& call) {
  TRY(node_->tree().services().check_room(false));
  TreeStore& store = node_->tree().store();
  struct stat before{};
  const bool is_judged = request.drops_set_id() && ::fstat(descriptor(), &before) == 0 &&
                         (before.st_mode & (S_ISUID | S_ISGID)) != 0;
  long outcome = -1;
  const Untold untold(*this);
  {
    const Changing changing = TRY(node_->begin_change());
    const Writing writing = TRY(store.begin_write(*file_));
    const auto act = [&] { return outcome = call(); };
    if (!is_judged && act() < 0) return fail_errno(name);
    if (const int code = is_judged ? store.as(request.tree(), act) : 0; code != 0) {
      return fail_errno(code, name);
    }
  }
  changed(static_cast<std::uint64_t>(outcome));
  if (is_judged) TRY(node_->tell_mode(request, before));
  return outcome;
}

Status DataHandle::before_write(off_t offset) {
  if (!writable_ || node_->region() != Region::plain) return ok();
  if (!bypassed_ && node_->was_closed_by_another(this)) TRY(end_state(offset));
  if (!keeper_->is_settled()) TRY(node_->check_in_place());
  node_->keep_before(*keeper_, descriptor(), offset);
  return ok();
}

// What this open has kept and written until now is told, and it keeps once more.
Status DataHandle::end_state(off_t offset) {
  struct stat now{};
  const bool is_lost = ::fstat(descriptor(), &now) == 0 && offset < now.st_size;
  if (!is_lost || !node_->take_closed() || !keeper_->is_settled()) return ok();
  if (keeper_->has_kept()) judge_kept();
  TRY(account());
  keeper_->renew();
  return ok();
}

// Who cannot read it has come to write, and more than an end to it. A database is opened for
// writing by those, too, who only read; and any file by touch(1), which waits for no FIFO.
bool DataHandle::would_lose(int flags) const {
  const bool will_write = (flags & O_ACCMODE) == O_WRONLY && (flags & (O_APPEND | O_NONBLOCK)) == 0;
  if (will_write || !writable_ || node_->region() != Region::plain) return false;
  struct stat now{};
  return !keeper_->is_settled() && ::fstat(descriptor(), &now) == 0 && now.st_size > 0 &&
         node_->tree().keeper().would_copy(static_cast<std::uint64_t>(now.st_size));
}

bool DataHandle::enter_past() {
  is_counted_ = node_->tree().enter_past(node_, writable_);
  return is_counted_;
}

void DataHandle::leave_past() {
  if (is_counted_.exchange(false)) node_->tree().leave_past(node_, writable_);
}

void DataHandle::bypass(int flags) {
  // O_APPEND stays with such an open, whatever fcntl(2) says.
  appends_past_ = (flags & O_ACCMODE) == O_WRONLY && (flags & O_APPEND) != 0;
  bypassed_ = true;
  if (!writable_) return;
  // What it had when this open emptied it has been told by that.
  const bool is_emptied = keeper_->is_settled();
  const std::shared_ptr<WriteKeeper> shared = node_->begin_past(keeper_, appends_past_);
  if (is_emptied && shared != keeper_) node_->tree().keeper().take_back(shared->take());
  if (!is_emptied && !shared->has_kept()) shared->renew();
  {
    Lock lock(mutex_);
    keeper_ = shared;
  }
  if (node_->is_overwritten_past()) static_cast<void>(before_write(0));
  // What is linked into the past from here on is a copy, since this is open for writing.
  static_cast<void>(node_->begin_change());
  Caller writer;
  {
    Lock lock(mutex_);
    writer = writer_;
  }
  struct stat found{};
  if (::fstat(descriptor(), &found) == 0) {
    node_->tree().bypassed().begin(node_.get(), writer, node_->path(), found);
  }
}

// What was kept is not needed where the disk refused the change.
void DataHandle::judge_kept() {
  node_->tree().keeper().take_back(keeper_->take_unneeded(descriptor()));
  if (!keeper_->has_kept()) return;
  Lock lock(mutex_);
  changed_ = true;
}

void DataHandle::changed_past(bool is_release) {
  struct stat now{};
  if (!bypassed_ || !writable_ || ::fstat(descriptor(), &now) != 0) return;
  const auto change = node_->tree().bypassed().look(node_.get(), now, is_release);
  if (!change) return;
  Lock lock(mutex_);
  bytes_ += change->bytes;
  writers_ = std::max(writers_, change->writers);
  changed_ = true;
}

void DataHandle::changed(std::uint64_t bytes) {
  unclosed_ = true;
  if (bypassed_) return;  // is measured like the rest
  Lock lock(mutex_);
  bytes_ += bytes;
  changed_ = true;
}

void DataHandle::note_untold() {
  struct stat now{};
  if (bypassed_ || noted_ || ::fstat(descriptor(), &now) != 0) return;
  now.st_ino = node_->file().inode();
  const std::string path = node_->path();
  Lock lock(mutex_);
  if (noted_) return;
  node_->tree().bypassed().begin_written(this, writer_, path, now);
  noted_ = true;
}

// What the kernel writes back by itself (pid 0) is of who wrote last.
Status DataHandle::attribute(Request& request, DataGuard& guard) {
  const pid_t thread = request.tree().pid;
  if (!is_publishing()) TRY(guard.write(*node_));
  const std::uint64_t writes_now = as_one(thread, request.tree().uid);
  if (thread == 0 || wrote_last_ == writes_now) return ok();
  Caller now = TRY(request.writer());
  bool is_other = false;
  {
    Lock lock(mutex_);
    is_other = writer_.process != now.process || writer_.host.uid != now.host.uid;
  }
  if (is_other) TRY(account());
  Lock lock(mutex_);
  if (is_other) writer_ = std::move(now);
  wrote_last_ = writes_now;
  return ok();
}

// The note stays as long as anybody writes. Who begins to either finds it gone, and waits for the
// lock to make another one, or is seen here.
Status DataHandle::account(bool is_release) {
  TRY(tell_changed(is_release));
  if (!noted_) return ok();
  Lock lock(mutex_);
  noted_ = false;
  if (untold_ == 0 && !changed_) {
    node_->tree().bypassed().end(this);
  } else {
    noted_ = true;
  }
  return ok();
}

Status DataHandle::tell_changed(bool is_release) {
  changed_past(is_release);
  {
    Lock lock(mutex_);
    if (!changed_) return ok();
  }
  // Who takes the name away in its turn finds it told, or tells it.
  const ChangeOrder::Turn turn(node_->tree().order(), node_->naming());
  BypassedFiles::Change change;
  Caller writer;
  {
    Lock lock(mutex_);
    if (!changed_) return ok();
    writer = writer_;
    change.bytes = std::exchange(bytes_, 0);
    change.writers = std::exchange(writers_, 1);
    changed_ = false;
  }
  Status told = node_->tell_write(writer, change.row(turn.names().path), *keeper_);
  if (told) return told;
  Lock lock(mutex_);
  bytes_ += change.bytes;  // the next close tries again
  writers_ = std::max(writers_, change.writers);
  changed_ = true;
  return told;
}

Status DataHandle::flush(Request& request) {
  if (!writable_) return ok();
  wrote_last_ = kNobody;  // one that has ended may have left its number to another
  const bool may_be_mapped = node_->take_mapped();
  if (unclosed_.exchange(false) || may_be_mapped) node_->note_closed(this);
  TRY(account());
  // Once others find its generation.
  if (is_publishing() && publisher_ == request.caller().host.pid) end_publishing();
  if (bypassed_) node_->renew_past(*keeper_);
  return ok();
}

void DataHandle::release() {
  leave_past();
  if (!writable_) return;
  if (!bypassed_ && keeper_->has_kept()) judge_kept();
  // The open's row stands in the journal already; nobody is left to be told of this one.
  if (const Status told = account(true); !told) log::error("{}", told.error().message);
  end_publishing();
  if (noted_.exchange(false)) node_->tree().bypassed().leave(this);
  if (!bypassed_) return;
  node_->renew_past(*keeper_);  // a mapping may have written since the close
  // From here on nothing is written past us; what the log holds of it is told.
  node_->tree().bypassed().end(node_.get());
  // Nobody has written since that was kept.
  if (node_->end_past(appends_past_)) node_->tree().keeper().take_back(keeper_->take());
}

// Who has it open goes on writing past a daemon that has gone: the next one finds what.
void DataHandle::abandon() {
  if (!writable_) return;
  if (const Status told = account(); !told) log::error("{}", told.error().message);
  if (bypassed_) node_->tree().bypassed().leave(node_.get());
}

Status DataHandle::fsync(Request&, bool data_only) {
  // What the disk then has, the journal has, too: of names, and of what others wrote.
  TRY(node_->tree().keeper().sync_copies(node_->file().inode()));
  TRY(node_->tree().store().fsync(*file_, data_only));
  if (writable_) TRY(account());
  return node_->tree().services().sync();
}

Status DataHandle::allocate(Request& request, int mode, off_t offset, off_t length) {
  DataGuard guard(request, node_->tree(), node_->region());
  TRY(attribute(request, guard));
  Charge charge(node_->tree(), &request);
  const bool may_grow = (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_ZERO_RANGE)) == 0;
  TRY(charge.write(*node_, descriptor(), offset,
                   may_grow ? static_cast<std::uint64_t>(length) : 0));
  if ((mode & ~FALLOC_FL_KEEP_SIZE) != 0) TRY(before_write(0));
  (void)TRY(change(request, "fallocate",
                   [&]() -> long { return ::fallocate(descriptor(), mode, offset, length); }));
  guard.done();
  return ok();
}

Result<std::size_t> DataHandle::copy_range(Request& request, off_t from, Handle& target, off_t to,
                                           std::size_t count) {
  auto* other = dynamic_cast<DataHandle*>(&target);
  if (other == nullptr) return fail(EXDEV, "copy_file_range: not into a synthetic file");
  if (file_->is_lent()) return copy_lent(request, from, *other, to, std::min(count, kCopiedAtOnce));
  DataGuard guard(request, other->node_->tree(), other->node_->region());
  TRY(other->attribute(request, guard));
  // While it is copied who rearranges the forest waits, and all others behind him: a short count
  // has the caller ask for the rest.
  count = std::min(count, kCopiedAtOnce);
  Charge charge(other->node_->tree(), &request);
  TRY(charge.write(*other->node_, other->descriptor(), to, count));
  TRY(other->before_write(to));
  const long copied = TRY(other->change(request, "copy_file_range", [&]() -> long {
    return ::copy_file_range(descriptor(), &from, other->descriptor(), &to, count, 0);
  }));
  guard.done();
  return static_cast<std::size_t>(copied);
}

Status DataHandle::read_directory(Request&, off_t offset, const EmitItem& each) {
  return node_->tree().store().read_directory(*file_, offset, [&](const auto& entry) {
    if (node_->hides(entry.name)) return true;
    const ino_t number = node_->tree().number(entry.inode);
    return each({entry.name, number, entry.type, entry.next_offset});
  });
}

}  // namespace agentfs::vfs
