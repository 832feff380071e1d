// SPDX-License-Identifier: MIT
#include "base/reserve.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"

namespace agentfs {
bool Reserve::is_full(int code) { return code == ENOSPC || code == EDQUOT; }

Reserve::Reserve(std::string path) : path_(std::move(path)) {}

bool Reserve::resize(std::int64_t size) {
  if (::truncate(path_.c_str(), size) != 0) return false;
  size_ = size;
  return true;
}

void Reserve::fill() {
  if (size_ >= kFull) return;
  const UniqueFd file(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  struct stat found{};
  if (!file || ::fstat(file.get(), &found) != 0) {
    is_possible_ = is_full(errno);
    return;
  }
  size_ = found.st_size;
  if (size_ >= kFull) return;
  // At once where there is room for all of it, else piece by piece: on a full disk what becomes
  // free does so in small portions, and others wait for it as well.
  for (const std::int64_t step : {kFull - size_, kPiece}) {
    while (size_ < kFull) {
      const std::int64_t more = std::min(step, kFull - size_);
      if (::fallocate(file.get(), 0, size_, more) != 0) {
        is_possible_ = is_full(errno);
        resize(size_);  // what was allocated before the failure is not ours to hold
        break;
      }
      size_ += more;
    }
  }
}

bool Reserve::release(std::size_t bytes) {
  if (size_ == 0) return false;
  const std::int64_t wanted = std::max(kPiece, 2 * static_cast<std::int64_t>(bytes));
  return resize(std::max<std::int64_t>(size_ - wanted, 0));
}

void SharedReserve::fill() {
  if (!exists_) return;
  const Lock lock(mutex_);
  reserve_.fill();
}

bool SharedReserve::release() {
  if (!exists_) return false;
  const Lock lock(mutex_);
  return reserve_.release(0);
}

}  // namespace agentfs
