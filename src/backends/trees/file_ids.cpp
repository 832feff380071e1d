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
  UniqueFd file(
      ::openat(directory, "ids", O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC, 0600));
  if (!file) return fail_errno("ids of the forest");
  auto ids = std::make_unique<FileIds>(std::move(file));
  TRY(ids->read());
  return ids;
}

// A crash may have cut the last pair: the next one that is kept begins in its place.
Status FileIds::read() {
  const std::string bytes = TRY(file::read(fmt::format("/proc/self/fd/{}", file_.get())));
  const std::size_t rows = bytes.size() / sizeof(Row);
  const Lock lock(mutex_);
  if (rows * sizeof(Row) != bytes.size()) cut_at_ = static_cast<off_t>(rows * sizeof(Row));
  next_ = kFirstMadeUp;
  for (std::size_t i = 0; i < rows; ++i) {
    Row row;
    std::memcpy(&row, bytes.data() + i * sizeof(Row), sizeof(Row));
    put(row);
  }
  return ok();
}

void FileIds::put(const Row& row) {
  next_ = std::max(next_, row.id + 1);
  if ((row.inode & kBeside) != 0) {
    beside_[row.inode & ~kBeside] = row.id;
    return;
  }
  beside_.erase(row.inode);
  if (const auto known = ids_.find(row.inode); known != ids_.end()) {
    const auto [first, last] = holders_.equal_range(known->second);
    const auto held =
        std::find(first, last, std::pair<const ino_t, ino_t>(known->second, row.inode));
    if (held != last) holders_.erase(held);
    ids_.erase(known);
  }
  if (row.id == 0) return;
  ids_[row.inode] = row.id;
  holders_.emplace(row.id, row.inode);
}

ino_t FileIds::id_of(ino_t inode) const {
  const Lock lock(mutex_);
  const auto found = ids_.find(inode);
  return found == ids_.end() ? inode : found->second;
}

void FileIds::keep(const Row& row) {
  put(row);
  if (cut_at_ && ::ftruncate(file_.get(), *cut_at_) != 0) return;
  cut_at_.reset();
  (void)file::write_all(file_.get(), {reinterpret_cast<const char*>(&row), sizeof(row)});
}

void FileIds::lend(ino_t inode, ino_t id, ino_t from) {
  const Lock lock(mutex_);
  const auto known = beside_.find(from);
  const ino_t beside = known == beside_.end() ? 0 : known->second;
  keep({inode, id});
  if (beside != 0) keep({inode | kBeside, beside});
}

// Who is older keeps the number: the host's kernel, and programs, may know it by that.
void FileIds::take_plain(ino_t inode) {
  const Lock lock(mutex_);
  forget(inode);
  if (holders_.contains(inode)) keep({inode | kBeside, next_});
}

// What it was before it was made anew.
void FileIds::forget(ino_t inode) {
  if (ids_.contains(inode) || beside_.contains(inode)) keep({inode, 0});
}

ino_t FileIds::shown(ino_t inode, ino_t id) const {
  const Lock lock(mutex_);
  const auto found = beside_.find(inode);
  return found == beside_.end() ? id : found->second;
}

ino_t FileIds::number_for_new(ino_t inode) {
  const Lock lock(mutex_);
  forget(inode);
  if (!holders_.contains(inode)) return 0;
  const ino_t id = next_;
  keep({inode, id});
  return id;
}

}  // namespace agentfs::trees
