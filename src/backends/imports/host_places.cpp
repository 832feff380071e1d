// SPDX-License-Identifier: MIT
// What goes from its place in a directory of the host, and what comes into one. Between a look at a
// path and the change of it others may write it, or put something else there: what goes is moved
// out of its place first, looked at there, and put back where it is not what was to go.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "backends/imports/host_writer.h"
#include "base/log.h"
#include "base/nanoseconds.h"
#include "base/permissions.h"

namespace agentfs::imports {

int rename_with(const HostDirectory::Place& from, const HostDirectory::Place& to, unsigned flags) {
  return ::renameat2(from.directory.get(), from.name.c_str(), to.directory.get(), to.name.c_str(),
                     flags);
}

namespace {

// Never over what came meanwhile; filesystems that cannot tell are asked before.
int rename_into(const HostDirectory::Place& from, const HostDirectory::Place& to) {
  const int done = rename_with(from, to, RENAME_NOREPLACE);
  if (done == 0 || errno != EINVAL) return done;
  if (::faccessat(to.directory.get(), to.name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
    errno = EEXIST;
    return -1;
  }
  return rename_with(from, to, 0);
}

}  // namespace

std::unexpected<Error> changed_meanwhile(const HostDirectory& host, const std::string& path) {
  return fail(EBUSY, "{}: changed while this was written; `rebase` takes that over",
              host.shown(path));
}

Status HostWriter::check_again(const Item& item) const {
  if (is_untouched(item.now, TRY(host_.look(item.change->path)))) return ok();
  return changed_meanwhile(host_, item.change->path);
}

// `away`: where it is by now, emptied unless what is ours is there, which is `there`, however its
// directory is called by then; `back`: with RENAME_EXCHANGE what has its place comes out of it
// again.
Status HostWriter::let_go(const Item& item, std::string& away, const HostDirectory::Place& there,
                          const HostDirectory::Place& place, unsigned back) {
  const std::string& path = item.change->path;
  const auto now = host_.look(away);
  // A mode that we have given another name of the file is this one's, too.
  const mode_t mode = relinked_[item.now.inode].mode.value_or(item.now.mode);
  const bool is_same =
      now && has_same_bytes(item.now, *now) && (mode & kPermissions) == (now->mode & kPermissions);
  if (is_same) {
    const UniqueFd its(
        ::openat(there.directory.get(), there.name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    const bool is_gone = ::unlinkat(there.directory.get(), there.name.c_str(), 0) == 0;
    struct stat left{};  // for its other names
    const bool is_known = is_gone && its && ::fstat(its.get(), &left) == 0;
    if (is_known && left.st_ino == item.now.inode) {
      relinked_[left.st_ino].changed = nanoseconds_of(left.st_ctim);
    }
    if (!is_gone) log::warning("{}", fail_errno(host_.shown(away)).error().message);
    if (is_gone) away.clear();
    return ok();
  }
  if (rename_with(there, place, back) != 0) {
    return fail(EBUSY,
                "{}: changed while this was written, and is {} now; `rebase` takes that over",
                host_.shown(path), host_.shown(std::exchange(away, {})));
  }
  const auto again = host_.look(away);
  if (again && (!again->exists() || has_same_bytes(item.staged, *again))) {
    return changed_meanwhile(host_, path);
  }
  // In the place of what had come there, or into that.
  return fail(
      EBUSY,
      "{}: changed while this was written, twice: what was saved last is {}; `rebase` takes "
      "both over",
      host_.shown(path), host_.shown(std::exchange(away, {})));
}

Status HostWriter::remove(Item& item) {
  TRY(check_again(item));
  const std::string& path = item.change->path;
  const HostDirectory::Place place = TRY(host_.place(path));
  relinked_[item.now.inode].changed = {};
  if (!item.now.is_directory()) {
    const HostDirectory::Place away = TRY(host_.place(item.away));
    if (rename_with(place, away, RENAME_NOREPLACE) == 0) {
      return let_go(item, item.away, away, place, RENAME_NOREPLACE);
    }
    if (errno == ENOENT) return changed_meanwhile(host_, path);
    if (errno != EINVAL) return fail_errno(host_.shown(path));
  }
  const int flags = item.now.is_directory() ? AT_REMOVEDIR : 0;
  if (::unlinkat(place.directory.get(), place.name.c_str(), flags) == 0) return ok();
  if (errno == ENOENT) return changed_meanwhile(host_, path);
  return fail_errno(host_.shown(path));
}

Status HostWriter::put_over(Item& item, const HostDirectory::Place& from,
                            const HostDirectory::Place& place) {
  const std::string& path = item.change->path;
  TRY(check_again(item));
  relinked_[item.now.inode].changed = {};
  if (rename_with(from, place, RENAME_EXCHANGE) == 0) {
    return let_go(item, item.temporary, from, place, RENAME_EXCHANGE);
  }
  if (errno == ENOENT) return changed_meanwhile(host_, path);
  if (errno != EINVAL || rename_with(from, place, 0) != 0) return fail_errno(host_.shown(path));
  item.temporary.clear();
  return ok();
}

Status HostWriter::put_in_place(Item& item, const HostDirectory::Place& place) {
  const HostDirectory::Place from = TRY(host_.place(item.temporary));
  if (!is_new(item)) return put_over(item, from, place);
  if (rename_into(from, place) != 0) {
    if (errno != EEXIST) return fail_errno(host_.shown(item.change->path));
    return fail(EBUSY, "{}: was made while this was written; `rebase` takes that over",
                host_.shown(item.change->path));
  }
  item.temporary.clear();
  return ok();
}

}  // namespace agentfs::imports
