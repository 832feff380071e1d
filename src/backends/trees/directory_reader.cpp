// SPDX-License-Identifier: MIT
#include "backends/trees/directory_reader.h"

#include <dirent.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

namespace agentfs::trees {
namespace {

constexpr std::size_t kPageSize = 64u << 10;

// The fixed part of the kernel's linux_dirent64; the name follows, ended by a NUL.
struct EntryHeader {
  std::uint64_t inode;
  std::int64_t next;
  std::uint16_t length;
  std::uint8_t type;
};
constexpr std::size_t kNameOffset = offsetof(EntryHeader, type) + 1;

EntryHeader header_at(const char* bytes) {
  EntryHeader header{};
  std::memcpy(&header, bytes, kNameOffset);
  return header;
}

// Some disks do not tell the type in the listing.
mode_t type_of(int directory, const EntryHeader& header, const std::string& name) {
  if (header.type != DT_UNKNOWN) return static_cast<mode_t>(DTTOIF(header.type));
  struct stat attributes{};
  if (::fstatat(directory, name.c_str(), &attributes, AT_SYMLINK_NOFOLLOW) != 0) return 0;
  return attributes.st_mode & S_IFMT;
}

}  // namespace

TreeStore::DirectoryEntry OpenDirectory::entry_at(const Page& page, std::size_t* length) const {
  const char* const bytes = page.bytes.data() + page.cursor;
  const EntryHeader header = header_at(bytes);
  TreeStore::DirectoryEntry entry;
  entry.name = bytes + kNameOffset;
  entry.inode = root_ && entry.name == ".." ? *root_ : header.inode;
  entry.type = type_of(fd_.get(), header, entry.name);
  entry.next_offset = header.next;
  *length = header.length;
  return entry;
}

Status OpenDirectory::read(
    off_t offset, const std::function<bool(const TreeStore::DirectoryEntry&)>& each) const {
  Page page = take(offset);
  for (;;) {
    if (page.cursor == page.length && !TRY(fill(page))) break;
    std::size_t length = 0;
    const auto entry = entry_at(page, &length);
    if (!each(entry)) break;
    page.cursor += length;
    page.offset = entry.next_offset;
  }
  give_back(std::move(page));
  return ok();
}

// The saved page with its cursor at `offset`, or an empty page to be filled from there. Another
// thread that is using the page leaves none: both read for themselves.
OpenDirectory::Page OpenDirectory::take(off_t offset) const {
  Page page;
  {
    const Lock lock(mutex_);
    std::swap(page, page_);
  }
  off_t at = page.start;
  for (std::size_t cursor = 0; offset != 0 && cursor < page.length;) {
    if (at == offset) {
      page.cursor = cursor;
      page.offset = offset;
      return page;
    }
    const EntryHeader header = header_at(page.bytes.data() + cursor);
    cursor += header.length;
    at = header.next;
  }
  page.length = page.cursor = 0;
  page.offset = offset;
  return page;
}

void OpenDirectory::give_back(Page page) const {
  const Lock lock(mutex_);
  std::swap(page_, page);
}

Result<bool> OpenDirectory::fill(Page& page) const {
  page.bytes.resize(kPageSize);
  page.cursor = page.length = 0;
  page.start = page.offset;
  // The descriptor has one position for all who list it.
  const Lock lock(mutex_);
  if (::lseek(fd_.get(), page.offset, SEEK_SET) < 0) return fail_errno("directory offset");
  const long got = ::syscall(SYS_getdents64, fd_.get(), page.bytes.data(), page.bytes.size());
  if (got < 0) return fail_errno("directory");
  page.length = static_cast<std::size_t>(got);
  return got > 0;
}

}  // namespace agentfs::trees
