// SPDX-License-Identifier: MIT
#include "backends/imports/host_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <ranges>
#include <set>

#include "base/copy.h"
#include "base/file_clock.h"
#include "base/file_times.h"
#include "base/log.h"
#include "base/nanoseconds.h"
#include "base/text.h"

namespace agentfs::imports {
namespace {

constexpr std::size_t kMostHeld = 256;  // directories

// By the clock of the filesystem itself, which may be another machine's. What is made there comes
// after: of what others made before, and move there, it tells by the time at which it was made.
timespec changed_at(int directory) {
  struct stat found{};
  return ::fstat(directory, &found) == 0 ? found.st_ctim : timespec{};
}

}  // namespace

bool is_renamed_into_place(const HostChange& change) {
  return (change.to.is_regular() && change.content) || S_ISLNK(change.to.mode);
}

bool must_go(const FileState& now, const HostChange& change) {
  if (!now.exists()) return false;
  if (!change.to.exists() || now.is_directory() != change.to.is_directory()) return true;
  return !is_renamed_into_place(change) && now.type() != change.to.type();
}

bool is_anothers_removal(const HostChange& change, const FileState& recorded,
                         const std::set<std::string>& written) {
  return !change.to.exists() && recorded.exists() && !written.contains(change.path);
}

Result<bool> is_made(const HostDirectory& host, const HostChange& change, const FileState& now) {
  if (now.type() != change.to.type()) return false;
  if (!now.exists()) return true;
  const bool has_mode =
      S_ISLNK(now.mode) || (now.mode & kPermissions) == (change.to.mode & kPermissions);
  if (!has_mode) return false;
  if (S_ISLNK(now.mode)) return TRY(host.read_link(change.path)) == change.target;
  if (!now.is_regular() || !change.content) return true;
  if (now.size != change.to.size) return false;
  const UniqueFd theirs = TRY(host.open(change.path, O_RDONLY));
  return same_bytes(theirs.get(), TRY(change.content()).get());
}

HostWriter::~HostWriter() {
  for (const Item& item : items_) {
    if (!item.temporary.empty()) remove_temporary(item);
  }
  if (!intent_) return;
  if (!made_.empty()) {
    const Status noted = records_.add_written(made_);
    if (!noted) log::warning("{}", noted.error().message);
  }
  ::unlink(intent_of(records_).c_str());
  ::unlink(steps_of(records_).c_str());
}

// --- staging

// New directories are not there yet: then the next one above has the temporary file.
std::string HostWriter::nearest_directory(const std::string& path) const {
  std::string above(text::parent_part(path));
  while (!above.empty()) {
    const auto state = host_.look(above);
    if (state && state->is_directory()) return above;
    above = text::parent_part(above);
  }
  return above;
}

Status HostWriter::choose_temporaries() {
  const auto name_in = [&](const std::string& directory) {
    return (directory.empty() ? "" : directory + "/") + ready_.emplace_back().text();
  };
  for (Item& item : items_) {
    const std::string& path = item.change->path;
    const bool goes = must_go(item.now, *item.change) && !item.now.is_directory();
    if (goes) item.away = name_in(std::string(text::parent_part(path)));
    if (is_renamed_into_place(*item.change)) item.temporary = name_in(nearest_directory(path));
  }
  TRY(file::replace(intent_of(records_), text_of(steps()), 0600));
  intent_ = true;
  return ok();
}

std::vector<Step> HostWriter::steps() const {
  std::vector<Step> steps;
  using States = std::vector<FileState>;
  for (const Item& item : items_ | std::views::reverse) {
    if (!must_go(item.now, *item.change)) continue;
    steps.push_back({item.change->path, item.away, false, States{item.now}});
  }
  for (const Item& item : items_) {
    if (!item.change->to.exists()) continue;
    steps.push_back({item.change->path, item.temporary, true, States{item.staged, item.now}});
  }
  return steps;
}

Status HostWriter::note_staged(Item& item, int file) const {
  struct stat staged{};
  if (::fstat(file, &staged) != 0) return fail_errno(host_.shown(item.change->path));
  item.staged = state_from(staged);
  return ok();
}

Status HostWriter::fill(const HostChange& change, const FileState& now, int file) const {
  const UniqueFd content = TRY(change.content());
  struct stat attributes{};
  if (::fstat(content.get(), &attributes) != 0) return fail_errno(host_.shown(change.path));
  await_telling(attributes);
  (void)TRY(copy_bytes(content.get(), file, attributes));
  struct stat after{};
  if (::fstat(content.get(), &after) != 0 || !is_as_it_was(attributes, after)) {
    return fail(EBUSY, "{}: was changed here while it was copied to {}; commit again",
                text::shown(change.path), host_.path());
  }
  attributes.st_uid = change.uid;
  attributes.st_gid = change.gid;
  if (now.is_regular()) {
    const UniqueFd old = TRY(host_.open(change.path, O_RDONLY));
    struct stat replaced{};
    if (::fstat(old.get(), &replaced) != 0) return fail_errno(host_.shown(change.path));
    if (replaced.st_ino != now.inode) return changed_meanwhile(host_, change.path);
    attributes.st_uid = replaced.st_uid;
    attributes.st_gid = replaced.st_gid;
    TRY(copy_xattrs(old.get(), file));
  } else {
    TRY(copy_unseen_xattrs(content.get(), file));
  }
  attributes.st_mode = change.to.mode;
  attributes.st_mtim = time_of(change.to.modified);
  TRY(set_attributes(file, attributes));
  if (change.xattrs != change.had_xattrs) {
    const mode_t mode = TRY(dress(change, file));
    if (::fchmod(file, mode) != 0 && is_of_disk(errno)) return fail_errno(host_.shown(change.path));
  }
  if (::fsync(file) != 0) return fail_errno(host_.shown(change.path));
  return ok();
}

Status HostWriter::hold(Item& item, const HostDirectory::Place& place) {
  struct stat found{};
  if (::fstat(place.directory.get(), &found) != 0) return fail_errno(host_.shown(item.temporary));
  const Number number{found.st_dev, found.st_ino};
  if (!held_.contains(number)) {
    if (held_.size() == kMostHeld) return ok();
    UniqueFd own(::fcntl(place.directory.get(), F_DUPFD_CLOEXEC, 0));
    if (!own) return fail_errno(host_.shown(item.temporary));
    held_.emplace(number, std::move(own));
  }
  item.directory = number;
  return ok();
}

void HostWriter::remove_temporary(const Item& item) const {
  const std::string name(text::last_part(item.temporary));
  if (item.directory) {
    ::unlinkat(held_.at(*item.directory).get(), name.c_str(), 0);
  } else if (const auto place = host_.place(item.temporary)) {
    ::unlinkat(place->directory.get(), name.c_str(), 0);
  }
}

Status HostWriter::stage_one(Item& item) {
  const HostDirectory::Place place = TRY(host_.place(item.temporary));
  TRY(hold(item, place));
  const int directory = place.directory.get();
  if (S_ISLNK(item.change->to.mode)) {
    const timespec times[2] = {{0, UTIME_NOW}, time_of(item.change->to.modified)};
    const timespec since = changed_at(directory);
    if (::symlinkat(item.change->target.c_str(), directory, place.name.c_str()) != 0) {
      return fail_errno(host_.shown(item.change->path));
    }
    const UniqueFd made = TRY(take_new(item, place, since));
    if (::utimensat(made.get(), "", times, AT_EMPTY_PATH) == 0) {
      return note_staged(item, made.get());
    }
    return fail_errno(host_.shown(item.change->path));
  }
  const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  const UniqueFd made(::openat(directory, place.name.c_str(), flags, kNewFile));
  if (!made) return fail_errno(host_.shown(item.change->path));
  TRY(remove_acls(made.get()));
  if (Status filled = fill(*item.change, item.now, made.get()); !filled) {
    Error& error = filled.error();
    const std::string path = host_.shown(item.change->path);
    const bool is_told = error.code == EBUSY || error.message.starts_with(path);
    if (!is_told) error.message = fmt::format("{}: {}", path, error.message);
    return filled;
  }
  return note_staged(item, made.get());
}

Status HostWriter::told(Status status) const {
  if (status) return status;
  const int code = status.error().code;
  // What is noted of it lies in the state, which may be on another disk.
  const bool is_noted = status.error().message.starts_with(records_.directory());
  const std::string_view disk = is_noted ? "the state's disk" : "that disk";
  std::string would_do;
  if (code == ENOSPC) would_do = fmt::format(", and with room on {} it would do", disk);
  if (code == EDQUOT) would_do = fmt::format(", and with a greater quota on {} it would do", disk);
  if (code == EROFS) would_do = fmt::format(", and with {} mounted writable it would do", disk);
  if (would_do.empty() && code != EIO) return status;
  return fail(code, "{}; nothing was written to {}{}", status.error().message,
              text::shown(host_.path()), would_do);
}

Status HostWriter::stage() { return told(stage_all()); }

Status HostWriter::stage_all() {
  TRY(rights_.open());
  for (const std::string& path : rights_.opened()) {
    const auto item = std::ranges::find(
        items_, path, [](const Item& one) -> const std::string& { return one.change->path; });
    if (item != items_.end()) item->now = TRY(host_.look(path));
  }
  TRY(choose_temporaries());
  for (Item& item : items_) {
    if (!item.temporary.empty()) TRY(stage_one(item));
  }
  return ok();
}

// --- in place

Status HostWriter::put(Item& item) {
  const HostChange& change = *item.change;
  const HostDirectory::Place place = TRY(host_.place(change.path));
  if (is_renamed_into_place(change)) return put_in_place(item, place);
  const int directory = place.directory.get();
  if (is_new(item)) {
    const timespec since = changed_at(directory);
    const int made = change.to.is_directory()
                         ? ::mkdirat(directory, place.name.c_str(), kNewDirectory)
                         : ::mkfifoat(directory, place.name.c_str(), kNewFile);
    if (made != 0 && errno == EEXIST) return changed_meanwhile(host_, change.path);
    if (made != 0) return fail_errno(host_.shown(change.path));
    TRY(remove_acls(TRY(take_new(item, place, since)).get()));
  } else if (!item.now.is_directory()) {
    TRY(check_again(item));
  }
  return closes(change) ? ok() : set_mode(item);
}

// The group's rights are those of the ACL's mask where there is one: without it, nobody's. -1: no
// file that could be opened.
Result<mode_t> HostWriter::dress(const HostChange& change, int file) const {
  mode_t mode = change.to.mode & kPermissions;
  // The attributes of users are set by who may write. Its own mode comes after this.
  const bool is_closed = ::geteuid() != 0 && (mode & S_IWUSR) == 0;
  if (is_closed && ::fchmod(file, mode | S_IWUSR) != 0) return mode;
  for (const auto& [name, value] : change.had_xattrs) {
    if (!change.xattrs.contains(name)) (void)::fremovexattr(file, name.c_str());
  }
  for (const auto& [name, value] : change.xattrs) {
    const auto had = change.had_xattrs.find(name);
    if (had != change.had_xattrs.end() && had->second == value) continue;
    const bool is_set = ::fsetxattr(file, name.c_str(), value.data(), value.size(), 0) == 0;
    if (!is_set && is_of_disk(errno, file)) {
      return fail_errno(fmt::format("{}: {}", host_.shown(change.path), name));
    }
    if (!is_set && name == kAclNames.front()) mode &= ~static_cast<mode_t>(S_IRWXG);
  }
  return mode;
}

// What an ordinary user's daemon may not give away stays its.
Result<UniqueFd> HostWriter::take_new(Item& item, const HostDirectory::Place& place,
                                      const timespec& since) const {
  const HostChange& change = *item.change;
  const int flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
  UniqueFd made(::openat(place.directory.get(), place.name.c_str(), flags));
  struct statx found{};
  constexpr unsigned kAsked = STATX_TYPE | STATX_UID | STATX_INO | STATX_BTIME;
  if (!made || ::statx(made.get(), "", AT_EMPTY_PATH, kAsked, &found) != 0) {
    return fail_errno(host_.shown(change.path));
  }
  const bool is_old = !was_made_since(found, since).value_or(true);
  if ((found.stx_mode & S_IFMT) != change.to.type() || is_old) {
    return changed_meanwhile(host_, change.path);
  }
  // Where the filesystem tells another owner than the one who made it, it is nobody's to give.
  if (found.stx_uid == ::geteuid() &&
      ::fchownat(made.get(), "", change.uid, change.gid, AT_EMPTY_PATH) != 0 && is_of_disk(errno)) {
    return fail_errno(host_.shown(change.path));
  }
  item.made = found.stx_ino;
  return made;
}

Status HostWriter::set_mode(const Item& item) {
  const HostChange& change = *item.change;
  const UniqueFd its = TRY(host_.open(change.path, O_PATH));
  struct stat found{};
  if (::fstat(its.get(), &found) != 0) return fail_errno(host_.shown(change.path));
  const bool is_right = found.st_ino == item.made.value_or(item.now.inode) &&
                        (found.st_mode & S_IFMT) == change.to.type();
  if (!is_right) return changed_meanwhile(host_, change.path);
  const std::string itself = fmt::format("/proc/self/fd/{}", its.get());
  mode_t mode = change.to.mode & kPermissions;
  if (change.xattrs != change.had_xattrs) {
    const UniqueFd file(::open(itself.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (!file && errno != EACCES) return fail_errno(host_.shown(change.path));
    mode = TRY(dress(change, file.get()));
  }
  const bool is_set = ::chmod(itself.c_str(), mode) == 0 && ::fstat(its.get(), &found) == 0;
  if (!is_set) return fail_errno(host_.shown(change.path));
  if (!item.made && found.st_ino == item.now.inode) {
    relinked_[found.st_ino] = {nanoseconds_of(found.st_ctim), found.st_mode};
  }
  return ok();
}

bool HostWriter::is_new(const Item& item) {
  return !item.now.exists() || must_go(item.now, *item.change);
}

// A directory in which nothing can be made or removed any more by who is not root.
bool HostWriter::closes(const HostChange& change) {
  return change.to.is_directory() && (change.to.mode & S_IRWXU) != S_IRWXU;
}

Status HostWriter::sync() const {
  std::set<std::string> directories;
  for (const Item& item : items_) directories.emplace(text::parent_part(item.change->path));
  for (const std::string& path : directories) {
    const auto fd = host_.open(path, O_RDONLY | O_DIRECTORY);
    // Removed with what was in it, and perhaps a file or a link now.
    const int code = fd ? 0 : fd.error().code;
    if (code == ENOENT || code == ENOTDIR || code == ELOOP) continue;
    if (!fd) return std::unexpected(fd.error());
    if (::fsync(fd->get()) != 0) return fail_errno(host_.shown(path));
  }
  return ok();
}

// What opens directories, first; what goes, from below; what comes, from above; what closes
// directories, in the end.
Status HostWriter::apply() {
  TRY(told(file::replace(intent_of(records_), text_of(steps()), 0600)));
  if (::rename(intent_of(records_).c_str(), steps_of(records_).c_str()) != 0) {
    return fail_errno(steps_of(records_));
  }
  std::size_t done = 0;
  std::size_t begun = 0;  // gone, for what is of another type
  const auto said = [&](const Status& status) -> Status {
    if (status) return ok();
    return fail(status.error().code, "{}; {} of {} changes were made in {} before{}",
                status.error().message, done, items_.size(), host_.path(),
                begun == 0 ? "" : fmt::format(", and {} begun with a removal", begun));
  };
  for (const Item& item : items_) {
    const bool stays = item.now.is_directory() && item.change->to.is_directory();
    if (!stays || closes(*item.change)) continue;
    TRY(said(set_mode(item)));
    rights_.keep_open(item.change->path);
  }
  for (Item& item : items_ | std::views::reverse) {
    if (!must_go(item.now, *item.change)) continue;
    TRY(said(remove(item)));
    made_.push_back(item.change->path);
    ++(item.change->to.exists() ? begun : done);
  }
  for (Item& item : items_) {
    if (!item.change->to.exists()) continue;
    TRY(said(put(item)));
    made_.push_back(item.change->path);
    ++done;
    if (must_go(item.now, *item.change)) --begun;
  }
  TRY(said(sync()));
  for (const Item& item : items_ | std::views::reverse) {
    if (closes(*item.change)) TRY(said(set_mode(item)));
  }
  return ok();
}

}  // namespace agentfs::imports
