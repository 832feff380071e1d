// SPDX-License-Identifier: MIT
#include "fs/vfs/content.h"

#include <unistd.h>

#include <algorithm>

namespace agentfs::vfs {

Result<std::string> Content::read(std::uint64_t offset, std::size_t count) const {
  if (offset >= size_) return std::string();
  count = static_cast<std::size_t>(std::min<std::uint64_t>(count, size_ - offset));
  if (open_) return TRY(opened())->read(offset, count);
  if (!file_) return text_.substr(offset, count);
  std::string bytes(count, '\0');
  std::size_t done = 0;
  while (done < count) {
    const ssize_t got =
        ::pread(file_.get(), bytes.data() + done, count - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(EIO, "content: the host file cannot be read");
    if (got == 0) return fail(EIO, "content: the host file ends at byte {}", offset + done);
    done += static_cast<std::size_t>(got);
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
