// SPDX-License-Identifier: MIT
// The bytes of one version of a generated file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/file.h"

namespace agentfs::vfs {

// Immutable: a text in memory, or the first `size` bytes of a host file that only grows (a segment
// of the journal). Shared by the node of that version and its readers.
class Content {
 public:
  explicit Content(std::string text) : text_(std::move(text)), size_(text_.size()) {}
  Content(UniqueFd file, std::uint64_t size) : file_(std::move(file)), size_(size) {}

  std::uint64_t size() const { return size_; }
  // At most `count` bytes from `offset`; empty at the end. EIO when the host file cannot be read.
  Result<std::string> read(std::uint64_t offset, std::size_t count) const;
  // Same bytes? Texts by value, files by size.
  bool same_as(const Content& other) const;
  std::uint64_t digest() const;  // equal for equal contents

 private:
  std::string text_;
  UniqueFd file_;
  std::uint64_t size_ = 0;
};
using ContentRef = std::shared_ptr<const Content>;

inline ContentRef text_content(std::string text) {
  return std::make_shared<const Content>(std::move(text));
}

}  // namespace agentfs::vfs
