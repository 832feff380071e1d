// SPDX-License-Identifier: MIT
// A file that remembers the order of what is written to it, for a loop device: what a power cut
// leaves of a disk is any of its pasts.
//
//   logged_disk IMAGE LOG MOUNTPOINT
//
// MOUNTPOINT/disk is IMAGE. Each write is appended to LOG before it is answered: offset, length (64
// bits each, of this machine), the bytes; each flush as an offset of all ones and a length of 0.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>

#define FUSE_USE_VERSION 314
#include <fuse.h>

namespace {

constexpr const char* kName = "/disk";
int image = -1;
int record = -1;

int remember(std::uint64_t offset, const char* bytes, std::uint64_t length) {
  std::uint64_t head[2] = {offset, length};
  const iovec parts[2] = {{head, sizeof head}, {const_cast<char*>(bytes), length}};
  const auto whole = static_cast<ssize_t>(sizeof head + length);
  return ::writev(record, parts, 2) == whole ? 0 : -EIO;
}

int get_attributes(const char* path, struct stat* out, fuse_file_info*) {
  if (std::strcmp(path, "/") == 0) {
    out->st_mode = S_IFDIR | 0755;
    out->st_nlink = 2;
    return 0;
  }
  if (std::strcmp(path, kName) != 0) return -ENOENT;
  return ::fstat(image, out) == 0 ? 0 : -errno;
}

int open_file(const char* path, fuse_file_info* info) {
  if (std::strcmp(path, kName) != 0) return -ENOENT;
  info->direct_io = 1;  // nothing is written later than it was told
  return 0;
}

int read_file(const char*, char* bytes, std::size_t size, off_t offset, fuse_file_info*) {
  const ssize_t got = ::pread(image, bytes, size, offset);
  return got < 0 ? -errno : static_cast<int>(got);
}

int write_file(const char*, const char* bytes, std::size_t size, off_t offset, fuse_file_info*) {
  if (::pwrite(image, bytes, size, offset) != static_cast<ssize_t>(size)) return -EIO;
  const int told = remember(static_cast<std::uint64_t>(offset), bytes, size);
  return told != 0 ? told : static_cast<int>(size);
}

int flush_file(const char*, int, fuse_file_info*) { return remember(UINT64_MAX, nullptr, 0); }

// In a mount namespace without what is mounted on the disk later: the end of the last process in
// one unmounts all of it, and would wait for itself.
int serve(fuse* served, const char* mountpoint) {
  if (::fuse_mount(served, mountpoint) != 0) return 1;
  if (::fuse_daemonize(0) != 0) return 1;
  if (::unshare(CLONE_NEWNS) != 0) return 1;
  if (::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 1;
  return ::fuse_loop(served) == 0 ? 0 : 1;
}

}  // namespace

int main(int count, char** words) {
  if (count != 4) {
    std::fprintf(stderr, "usage: logged_disk IMAGE LOG MOUNTPOINT\n");
    return 2;
  }
  image = ::open(words[1], O_RDWR | O_CLOEXEC);
  record = ::open(words[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (image < 0 || record < 0) {
    std::perror(image < 0 ? words[1] : words[2]);
    return 1;
  }
  fuse_operations table{};
  table.getattr = get_attributes;
  table.open = open_file;
  table.read = read_file;
  table.write = write_file;
  table.fsync = flush_file;
  fuse_args arguments = FUSE_ARGS_INIT(1, words);
  fuse* const served = ::fuse_new(&arguments, &table, sizeof table, nullptr);
  const int outcome = served == nullptr ? 1 : serve(served, words[3]);
  if (outcome != 0) std::perror("logged_disk");
  return outcome;
}
