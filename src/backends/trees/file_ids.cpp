// SPDX-License-Identifier: MIT
#include "backends/trees/file_ids.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace agentfs::trees {
namespace {

// Numbers made up for new files: above those that disks give out, within 32 bits.
constexpr ino_t kFirstMadeUp = 0xC0000000u;

}  // namespace

Result<std::unique_ptr<FileIds>> FileIds::open(int directory) {
  UniqueFd file(::openat(directory, "ids", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!file) return fail_errno("ids of the forest");
  auto ids = std::make_unique<FileIds>(std::move(file));
  TRY(ids->read());
  return ids;
}

// A crash may have cut the last pair: it is dropped, so that the next one begins in its place.
Status FileIds::read() {
  const std::string bytes = TRY(file::read(fmt::format("/proc/self/fd/{}", file_.get())));
  const std::size_t rows = bytes.size() / sizeof(Row);
  if (rows * sizeof(Row) != bytes.size() &&
      ::ftruncate(file_.get(), static_cast<off_t>(rows * sizeof(Row))) != 0) {
    return fail_errno("ids of the forest");
  }
  const Lock lock(mutex_);
  next_ = kFirstMadeUp;
  for (std::size_t i = 0; i < rows; ++i) {
    Row row;
    std::memcpy(&row, bytes.data() + i * sizeof(Row), sizeof(Row));
    put(row);
  }
  return ok();
}

void FileIds::put(const Row& row) {
  const auto known = ids_.find(row.inode);
  if (known != ids_.end()) {
    const auto used = in_use_.find(known->second);
    if (used != in_use_.end() && --used->second == 0) in_use_.erase(used);
    ids_.erase(known);
  }
  if (row.id == 0) return;
  ids_[row.inode] = row.id;
  ++in_use_[row.id];
  next_ = std::max(next_, row.id + 1);
}

ino_t FileIds::id_of(ino_t inode) const {
  const Lock lock(mutex_);
  const auto found = ids_.find(inode);
  return found == ids_.end() ? inode : found->second;
}

void FileIds::keep(const Row& row) {
  put(row);
  (void)file::write_all(file_.get(), {reinterpret_cast<const char*>(&row), sizeof(row)});
}

void FileIds::lend(ino_t inode, ino_t id) {
  const Lock lock(mutex_);
  keep({inode, id});
}

void FileIds::show_as_itself(ino_t inode) {
  const Lock lock(mutex_);
  const auto known = ids_.find(inode);
  const bool is_itself = known != ids_.end() && known->second == inode;
  const auto used = in_use_.find(inode);
  const std::size_t others = used == in_use_.end() ? 0 : used->second - (is_itself ? 1 : 0);
  if (others != 0 && is_itself) return;
  if (others != 0) return keep({inode, inode});
  if (known != ids_.end()) keep({inode, 0});
}

ino_t FileIds::number_beside(ino_t id) {
  const Lock lock(mutex_);
  if (const auto other = ids_.find(id | kBeside); other != ids_.end()) return other->second;
  const auto itself = ids_.find(id);
  if (itself == ids_.end() || itself->second != id) return id;
  const ino_t fresh = next_;
  keep({id | kBeside, fresh});
  return fresh;
}

ino_t FileIds::number_for_new(ino_t inode) {
  const Lock lock(mutex_);
  if (!ids_.contains(inode) && !in_use_.contains(inode)) return 0;
  const ino_t id = in_use_.contains(inode) ? next_ : 0;
  keep({inode, id});
  return id;
}

}  // namespace agentfs::trees
