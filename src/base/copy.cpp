// SPDX-License-Identifier: MIT
#include "base/copy.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string>

#include "base/permissions.h"
#include "base/read_at.h"
#include "base/reserve.h"
#include "base/text.h"

namespace agentfs {
namespace {

constexpr std::size_t kPiece = 64U << 10U;
constexpr off_t kSmall = 64 << 10;
constexpr std::size_t kCompared = 256U << 10U;  // bytes at a time

// What says that the kernel cannot copy between these two, not that the copy failed.
bool is_no_kernel_copy(int code) {
  return code == EXDEV || code == EINVAL || code == ENOSYS || code == EOPNOTSUPP || code == EPERM;
}

Status copy_through_memory(int from, int to, off_t begin, off_t end) {
  std::array<char, kPiece> piece;
  while (begin < end) {
    const auto wanted = std::min<std::size_t>(piece.size(), static_cast<std::size_t>(end - begin));
    const ssize_t got = ::pread(from, piece.data(), wanted, begin);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("reading what is to be copied");
    if (got == 0) return ok();
    for (ssize_t put = 0; put < got;) {
      const ssize_t count =
          ::pwrite(to, piece.data() + put, static_cast<std::size_t>(got - put), begin + put);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return fail_errno("writing a copy");
      put += count;
    }
    begin += got;
  }
  return ok();
}

Status copy_range(int from, int to, off_t begin, off_t end) {
  off_t in = begin;
  off_t out = begin;
  while (in < end) {
    const ssize_t count =
        ::copy_file_range(from, &in, to, &out, static_cast<std::size_t>(end - in), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && is_no_kernel_copy(errno)) return copy_through_memory(from, to, in, end);
    if (count < 0) return fail_errno("copying");
    if (count == 0) return ok();  // cut short meanwhile
  }
  return ok();
}

// Where neither has data until the next place that one has; else where it is.
std::uint64_t past_holes(int one, int other, std::uint64_t at) {
  const auto next = [&](int file) {
    const off_t data = ::lseek(file, static_cast<off_t>(at), SEEK_DATA);
    if (data >= 0) return static_cast<std::uint64_t>(data);
    return errno == ENXIO ? std::numeric_limits<std::uint64_t>::max() : at;
  };
  return std::min(next(one), next(other));
}

}  // namespace

std::optional<DataRange> next_data(int file, off_t at, off_t size) {
  const off_t data = at < size ? ::lseek(file, at, SEEK_DATA) : size;
  if (data >= size || (data < 0 && errno == ENXIO)) return std::nullopt;
  if (data < 0) return DataRange{at, size};  // a disk that tells no holes
  const off_t hole = ::lseek(file, data, SEEK_HOLE);
  return DataRange{data, hole < 0 || hole > size ? size : hole};
}

std::int64_t data_bytes(int file, off_t size) {
  std::int64_t bytes = 0;
  for (auto piece = next_data(file, 0, size); piece; piece = next_data(file, piece->end, size)) {
    bytes += piece->end - piece->begin;
  }
  return bytes;
}

Result<std::uint64_t> copy_bytes(int from, int to, const struct stat& attributes) {
  const off_t size = attributes.st_size;
  const bool has_holes = attributes.st_blocks * 512 < size;
  if (size <= kSmall && !has_holes) {
    TRY(copy_through_memory(from, to, 0, size));
    return static_cast<std::uint64_t>(size);
  }
  std::uint64_t copied = 0;
  if (::ioctl(to, FICLONE, from) == 0) return copied;
  if (::ftruncate(to, size) != 0) return fail_errno("making room for a copy");
  for (auto piece = next_data(from, 0, size); piece; piece = next_data(from, piece->end, size)) {
    TRY(copy_range(from, to, piece->begin, piece->end));
    copied += static_cast<std::uint64_t>(piece->end - piece->begin);
  }
  return copied;
}

void each_xattr(int file, const std::function<void(const std::string&, std::string_view)>& use) {
  const std::string path = fmt::format("/proc/self/fd/{}", file);
  const ssize_t length = ::listxattr(path.c_str(), nullptr, 0);
  std::string names(length > 0 ? static_cast<std::size_t>(length) : 0, '\0');
  const ssize_t listed = names.empty() ? 0 : ::listxattr(path.c_str(), names.data(), names.size());
  names.resize(listed > 0 ? static_cast<std::size_t>(listed) : 0);
  std::string value(names.empty() ? 0 : kLongestXattr, '\0');
  for (const std::string_view part : text::split(names, '\0')) {
    if (part.empty()) continue;
    const std::string name(part);
    const ssize_t size = ::getxattr(path.c_str(), name.c_str(), value.data(), value.size());
    if (size >= 0) use(name, std::string_view(value).substr(0, static_cast<std::size_t>(size)));
  }
}

Xattrs brought_xattrs(int file) {
  Xattrs all;
  each_xattr(file, [&](const std::string& name, std::string_view value) {
    if (is_brought(name)) all.emplace(name, value);
  });
  return all;
}

Status remove_acls(int file, const Xattrs& but) {
  const std::string path = fmt::format("/proc/self/fd/{}", file);
  for (const char* const name : kAclNames) {
    const bool has_one = !but.contains(name) && ::getxattr(path.c_str(), name, nullptr, 0) >= 0;
    if (has_one && ::removexattr(path.c_str(), name) != 0) {
      return fail_errno("taking away an access control list");
    }
  }
  return ok();
}

bool is_of_disk(int code) { return Reserve::is_full(code) || code == EIO || code == EROFS; }

// Of the blocks that a disk counts as free it keeps some from root, too (ext4); what it gives all
// it gives root. Where attributes count as files (tmpfs), it may be these that are used up.
bool is_of_disk(int code, int file) {
  constexpr fsblkcnt_t kFull = 128;  // blocks or files that are free where no more is given
  struct statvfs disk{};
  if (code != ENOSPC || ::fstatvfs(file, &disk) != 0) return is_of_disk(code);
  return disk.f_bavail < kFull || (disk.f_files != 0 && disk.f_favail < kFull);
}

namespace {

// Of a call that has just set errno, or not.
Status unless_of_disk(int done, std::string_view what) {
  return done == 0 || !is_of_disk(errno) ? ok() : fail_errno(what);
}

Status copy_some_xattrs(int from, int to, bool (*is_wanted)(std::string_view name)) {
  Status copied;
  each_xattr(from, [&](const std::string& name, std::string_view value) {
    if (!copied || !is_wanted(name)) return;
    const int done = ::fsetxattr(to, name.c_str(), value.data(), value.size(), 0);
    if (done != 0 && is_of_disk(errno, to)) copied = fail_errno(name);
  });
  return copied;
}

}  // namespace

Status copy_xattrs(int from, int to) {
  static_cast<void>(remove_acls(to));
  return copy_some_xattrs(from, to, [](std::string_view) { return true; });
}

Status copy_unseen_xattrs(int from, int to) {
  return copy_some_xattrs(from, to, [](std::string_view name) { return goes_unseen(name); });
}

FileCapabilities::FileCapabilities(int file) {
  const ssize_t size = ::fgetxattr(file, kCapabilityName, bytes_.data(), bytes_.size());
  if (size > 0) size_ = static_cast<std::size_t>(size);
}

void FileCapabilities::give(int file) const {
  if (size_ != 0) static_cast<void>(::fsetxattr(file, kCapabilityName, bytes_.data(), size_, 0));
}

// The owner before the mode: a change of owner takes set-ID bits away.
Status set_attributes(int file, const struct stat& attributes) {
  struct stat made{};
  const bool known = ::fstat(file, &made) == 0;
  if (!known || made.st_uid != attributes.st_uid || made.st_gid != attributes.st_gid) {
    TRY(unless_of_disk(::fchown(file, attributes.st_uid, attributes.st_gid), "an owner"));
  }
  TRY(unless_of_disk(::fchmod(file, attributes.st_mode & kPermissions), "a mode"));
  const timespec times[2] = {attributes.st_atim, attributes.st_mtim};
  return unless_of_disk(::futimens(file, times), "times");
}

bool is_as_it_was(const struct stat& before, const struct stat& now) {
  const auto same = [](const timespec& one, const timespec& other) {
    return one.tv_sec == other.tv_sec && one.tv_nsec == other.tv_nsec;
  };
  return before.st_dev == now.st_dev && before.st_ino == now.st_ino &&
         before.st_size == now.st_size && same(before.st_mtim, now.st_mtim) &&
         same(before.st_ctim, now.st_ctim);
}

Result<bool> same_bytes(int one, int other) {
  struct stat first{};
  struct stat second{};
  if (::fstat(one, &first) != 0 || ::fstat(other, &second) != 0) return fail_errno("a file");
  if (first.st_size != second.st_size) return false;
  const auto size = static_cast<std::uint64_t>(first.st_size);
  for (std::uint64_t at = past_holes(one, other, 0); at < size; at = past_holes(one, other, at)) {
    const std::size_t wanted = std::min<std::uint64_t>(kCompared, size - at);
    const std::string bytes = TRY(read_at(one, at, wanted));
    if (bytes != TRY(read_at(other, at, wanted))) return false;
    if (bytes.size() < wanted) return true;
    at += bytes.size();
  }
  return true;
}

}  // namespace agentfs
