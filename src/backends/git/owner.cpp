// SPDX-License-Identifier: MIT
#include "backends/git/owner.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/file_clock.h"
#include "base/permissions.h"
#include "base/text.h"

namespace agentfs::git {

Result<Owner> Owner::of(const std::string& directory) {
  Owner owner;
  owner.since_ = file_clock();
  struct stat found{};
  if (::stat((directory + "/objects").c_str(), &found) != 0) return fail_errno(directory);
  owner.uid_ = found.st_uid;
  owner.gid_ = found.st_gid;
  owner.gives_ = ::geteuid() == 0 && (owner.uid_ != 0 || owner.gid_ != ::getegid());
  owner.directory_ = UniqueFd(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!owner.directory_) return fail_errno(directory);
  return owner;
}

// Of its own user's rights the disk has said already what they are.
bool Owner::may_read(const struct stat& what) const {
  if (uid_ == 0 || uid_ == ::geteuid()) return true;
  const mode_t needed = S_ISDIR(what.st_mode) ? S_IROTH | S_IXOTH : S_IROTH;
  const unsigned shift = what.st_uid == uid_ ? 6 : what.st_gid == gid_ ? 3 : 0;
  return ((what.st_mode >> shift) & needed) == needed;
}

mode_t Owner::readers_of(const struct stat& what) const {
  const mode_t needed = S_ISDIR(what.st_mode) ? S_IXOTH : S_IROTH;
  const bool has_others = (what.st_mode & needed) != 0;
  const bool has_group = what.st_gid == gid_ ? ((what.st_mode >> 3U) & needed) != 0 : has_others;
  return (has_group ? S_IRGRP : 0U) | (has_others ? S_IROTH : 0U);
}

// Others may write there, and give the name to another file at any time: what was made before is
// none of ours.
void Owner::give(const std::string& below, mode_t readers) const {
  if (!gives_ && readers == kAllReaders) return;
  const int flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
  const UniqueFd file(::openat(directory_.get(), below.c_str(), flags));
  struct statx found{};
  constexpr unsigned kAsked = STATX_BASIC_STATS | STATX_BTIME;
  if (!file || ::statx(file.get(), "", AT_EMPTY_PATH, kAsked, &found) != 0) return;
  const bool is_new = was_made_since(found, since_).value_or(false) && found.stx_uid == ::geteuid();
  const bool is_one = S_ISDIR(found.stx_mode) || (S_ISREG(found.stx_mode) && found.stx_nlink == 1);
  if (!is_new || !is_one) return;
  const std::string itself = fmt::format("/proc/self/fd/{}", file.get());
  const mode_t mode = found.stx_mode & ~(kAllReaders & ~readers) & kPermissions;
  if (readers != kAllReaders) (void)(::chmod(itself.c_str(), mode) == 0);
  if (gives_) (void)(::fchownat(file.get(), "", uid_, gid_, AT_EMPTY_PATH) == 0);
}

}  // namespace agentfs::git
