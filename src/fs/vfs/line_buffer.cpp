// SPDX-License-Identifier: MIT
#include "fs/vfs/line_buffer.h"

#include <utility>

namespace agentfs::vfs {

Result<std::vector<std::string>> LineBuffer::add(off_t offset, std::string_view bytes) {
  if (counted_ && expected_ >= 0 && offset != expected_) {
    return fail(EINVAL, "write: at offset {} after {} bytes; the next byte would do", offset,
                expected_);
  }
  std::vector<std::string> lines;
  std::string line = std::exchange(pending_, {});
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    if (line.size() + part.size() > kLongest) {
      return fail(EMSGSIZE, "write: a line of {} bytes and more; one of {} would do",
                  line.size() + part.size(), kLongest);
    }
    line += part;
    if (end == std::string_view::npos) break;
    lines.push_back(std::exchange(line, {}));
    bytes.remove_prefix(end + 1);
  }
  pending_ = std::move(line);
  return lines;
}

void LineBuffer::accept(off_t offset, std::size_t count) {
  if (offset >= 0) expected_ = offset + static_cast<off_t>(count);
}

std::string LineBuffer::take_rest() { return std::exchange(pending_, {}); }

}  // namespace agentfs::vfs
