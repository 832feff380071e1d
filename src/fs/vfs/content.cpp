// SPDX-License-Identifier: MIT
#include "fs/vfs/content.h"

#include <algorithm>

#include "base/read_at.h"

namespace agentfs::vfs {

Result<std::string> Content::read(std::uint64_t offset, std::size_t count) const {
  if (offset >= size_) return std::string();
  count = static_cast<std::size_t>(std::min<std::uint64_t>(count, size_ - offset));
  if (open_) return TRY(opened())->read(offset, count);
  if (!file_) return text_.substr(offset, count);
  auto bytes = read_at(file_.get(), offset, count);
  if (!bytes) return fail_errno(EIO, "content: the host file cannot be read");
  if (bytes->size() < count) {
    return fail(EIO, "content: the host file ends at byte {}", offset + bytes->size());
  }
  return bytes;
}

Result<ContentRef> Content::opened() const {
  return std::make_shared<const Content>(TRY(open_()), size_, changed_);
}

bool Content::same_as(const Content& other) const {
  if (this == &other) return true;
  if (open_ || other.open_) return identity_ == other.identity_;
  if (size_ != other.size_ || static_cast<bool>(file_) != static_cast<bool>(other.file_)) {
    return false;
  }
  return file_ ? true : text_ == other.text_;
}

std::uint64_t Content::digest() const {
  if (open_) return identity_;
  if (file_) return size_;
  return std::hash<std::string_view>{}(text_);
}

}  // namespace agentfs::vfs
