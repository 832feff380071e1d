// SPDX-License-Identifier: MIT
#include "backends/trees/disk_files.h"

#include <linux/magic.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <memory>

#include "base/copy.h"
#include "base/owner_rights.h"
#include "base/permissions.h"
#include "base/reserve.h"
#include "base/text.h"

namespace agentfs::trees {
namespace {

constexpr std::size_t kLongestName = 64u << 10;  // the kernel's own bounds of both
constexpr std::size_t kLongestValue = 64u << 10;

// Attributes that only some daemons may set are left out where this one may not.
bool may_be_lost(std::string_view name) {
  return name.starts_with("security.") || name.starts_with("trusted.");
}

Status copy_xattrs(const Marks& marks, const Spot& from, const Spot& to) {
  std::string names(kLongestName, '\0');
  const auto list = from.follow ? ::listxattr : ::llistxattr;
  const ssize_t length = list(from.path.c_str(), names.data(), names.size());
  if (length < 0 && errno == ENOTSUP) return ok();
  if (length < 0) return fail_errno("attributes");
  const auto drop = to.follow ? ::removexattr : ::lremovexattr;
  for (const char* const name : kAclNames) drop(to.path.c_str(), name);
  names.resize(static_cast<std::size_t>(length));
  std::string value;
  for (const std::string_view part : text::split(names, '\0')) {
    if (part.empty() || marks.is_ours(part)) continue;
    const std::string name(part);
    value.resize(kLongestValue);
    const auto get = from.follow ? ::getxattr : ::lgetxattr;
    const ssize_t size = get(from.path.c_str(), name.c_str(), value.data(), value.size());
    if (size < 0) continue;  // one that shows only to others
    const auto put = [&] {
      const auto set = to.follow ? ::setxattr : ::lsetxattr;
      const auto bytes = static_cast<std::size_t>(size);
      return set(to.path.c_str(), name.c_str(), value.data(), bytes, 0) == 0 ? 0 : errno;
    };
    int code = put();
    if (code == ENOSPC && marks.make_room(to)) code = put();
    if (code != 0 && !may_be_lost(name)) return fail_errno(code, text::shown(name));
  }
  return ok();
}

int link_flags(const Spot& spot) { return spot.follow ? 0 : AT_SYMLINK_NOFOLLOW; }

// Where renaming a new file over an old one does not by itself put the data on the disk first.
Status settle(int fd) {
  struct statfs statistics{};
  if (::fstatfs(fd, &statistics) == 0) {
    const auto type = static_cast<unsigned long>(statistics.f_type);
    if (type == EXT4_SUPER_MAGIC || type == TMPFS_MAGIC) return ok();
  }
  if (::fdatasync(fd) != 0) return fail_errno("fdatasync");
  return ok();
}

struct Original {
  int file = -1;  // O_PATH
  struct stat attributes{};
};

// A lent file's copy is lent.
Result<std::uint64_t> copy_regular(const Marks& marks, const Original& from, const Spot& to,
                                   const CopyOptions& options) {
  if (options.made >= 0) {
    const std::string made = Spot::of(options.made).path;
    if (::linkat(AT_FDCWD, made.c_str(), AT_FDCWD, to.path.c_str(), AT_SYMLINK_FOLLOW) != 0) {
      return fail_errno(to.path);
    }
    if (options.meanwhile) TRY(options.meanwhile(options.made));
    return std::uint64_t{0};
  }
  const UniqueFd made(
      ::open(to.path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!made) return fail_errno(to.path);
  std::uint64_t copied = 0;
  if (!options.empty && marks.lends(from.file)) {
    TRY(marks.lender()->copy(from.file, made.get()));
  } else if (!options.empty) {
    copied = TRY(copy_content(from.file, made.get(), from.attributes));
  }
  if (options.meanwhile) TRY(options.meanwhile(made.get()));
  return copied;
}

Status make_special(int from, const struct stat& attributes, const Spot& to) {
  if (!S_ISLNK(attributes.st_mode)) {
    if (::mknod(to.path.c_str(), attributes.st_mode & S_IFMT, attributes.st_rdev) == 0) return ok();
    return fail_errno(to.path);
  }
  const auto target = link_target(from, "");
  if (!target) return fail_errno("a link to be copied");
  if (::symlink(target->c_str(), to.path.c_str()) != 0) return fail_errno(to.path);
  return ok();
}

}  // namespace

Result<std::uint64_t> copy_content(int from, int to, const struct stat& attributes) {
  if (attributes.st_size == 0) return std::uint64_t{0};
  const UniqueFd source(::open(Spot::of(from).path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!source) return fail_errno("a file to be copied");
  const std::uint64_t copied = TRY(copy_bytes(source.get(), to, attributes));
  TRY(settle(to));
  return copied;
}

Status copy_attributes(const Marks& marks, const Spot& from, const struct stat& attributes,
                       const Spot& to) {
  if (::fchownat(AT_FDCWD, to.path.c_str(), attributes.st_uid, attributes.st_gid, link_flags(to)) !=
      0) {
    return fail_errno("owner of a copy");
  }
  TRY(copy_xattrs(marks, from, to));
  if (!S_ISLNK(attributes.st_mode) &&
      ::fchmodat(AT_FDCWD, to.path.c_str(), attributes.st_mode & kPermissions, 0) != 0) {
    return fail_errno("mode of a copy");
  }
  restore_times(to, attributes);
  return ok();
}

void restore_times(const Spot& spot, const struct stat& attributes) {
  const timespec times[2] = {attributes.st_atim, attributes.st_mtim};
  ::utimensat(AT_FDCWD, spot.path.c_str(), times, link_flags(spot));
}

OpenedMode::OpenedMode(bool needed, int directory) {
  struct stat attributes{};
  if (!needed || ::fstat(directory, &attributes) != 0) return;
  if ((attributes.st_mode & S_IRWXU) == S_IRWXU) return;
  path_ = Spot::of(directory).path;
  before_ = attributes.st_mode & kPermissions;
  ::chmod(path_.c_str(), *before_ | S_IRWXU);
}

OpenedMode::~OpenedMode() {
  if (before_) ::chmod(path_.c_str(), *before_);
}

Result<std::uint64_t> copy_inode(const Marks& marks, int from, int directory,
                                 const std::string& name, const CopyOptions& options) {
  struct stat attributes{};
  if (::fstat(from, &attributes) != 0) return fail_errno("a file to be copied");
  const Spot to = Spot::in(directory, name);
  const auto make = [&]() -> Result<std::uint64_t> {
    const OwnerRights lent = TRY(OwnerRights::lend(from, S_IRUSR, options.rights));
    std::uint64_t copied = 0;
    if (S_ISREG(attributes.st_mode)) {
      copied = TRY(copy_regular(marks, {from, attributes}, to, options));
    } else {
      TRY(make_special(from, attributes, to));
    }
    TRY(copy_attributes(marks, Spot::of(from), attributes, to));
    // Cutting off nothing is no change to some disks.
    if (options.empty && attributes.st_size != 0) {
      const timespec now[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
      ::utimensat(AT_FDCWD, to.path.c_str(), now, link_flags(to));
    }
    return copied;
  };
  auto made = make();
  if (!made) ::unlinkat(directory, name.c_str(), 0);
  return made;
}

namespace {

constexpr unsigned kDeepest = 100;

// `top` is the directory that all of it lies in; -1: this is it. What lies deeper than
// descriptors and the stack are to go is moved up there. What cannot be removed keeps nothing else.
Status remove_at(int directory, const std::string& name, int top, unsigned depth) {
  if (::unlinkat(directory, name.c_str(), 0) == 0 || errno == ENOENT) return ok();
  const int refused = errno;
  UniqueFd below(::openat(directory, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!below) return fail_errno(refused, text::shown(name));
  ::fchmodat(AT_FDCWD, Spot::of(below.get()).path.c_str(), 0700, 0);
  if (depth > kDeepest) {
    struct stat found{};
    if (::fstat(below.get(), &found) != 0) return fail_errno(text::shown(name));
    const std::string up = fmt::format(".agentfs-deep-{}", found.st_ino);
    if (::renameat(directory, name.c_str(), top, up.c_str()) == 0) return ok();
    return fail_errno(text::shown(name));
  }
  auto entries = TRY(list_directory(below.get()));
  Status all = ok();
  while (!entries.empty()) {
    for (const HostEntry& entry : entries) {
      Status removed = remove_at(below.get(), entry.name, top < 0 ? below.get() : top, depth + 1);
      if (!removed && all) all = std::move(removed);
    }
    if (top >= 0 || !all) break;
    entries = TRY(list_directory(below.get()));
  }
  TRY(std::move(all));
  if (::unlinkat(directory, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return ok();
  return fail_errno(text::shown(name));
}

}  // namespace

void keep_spare_directory(int room) { (void)::mkdirat(room, kSpareDirectory, 0700); }

Status make_directory(int directory, const char* name, int room) {
  if (::mkdirat(directory, name, 0700) == 0 || errno == EEXIST) return ok();
  const int refused = errno;
  if (Reserve::is_full(refused) && ::renameat(room, kSpareDirectory, directory, name) == 0) {
    return ok();
  }
  return fail_errno(refused, name);
}

Status remove_whole(int directory, const std::string& name) {
  return remove_at(directory, name, -1, 0);
}

}  // namespace agentfs::trees
