// SPDX-License-Identifier: MIT
// The bytes of one version of a generated file.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/file.h"

namespace agentfs::vfs {

// Immutable: a text in memory, or the first `size` bytes of a host file that only grows (a segment
// of the journal), or a host file that is opened when it is read (a version in the past store, of
// which many may be known at once). Shared by the node of that version and its readers.
class Content {
 public:
  explicit Content(std::string text, std::optional<std::int64_t> changed = {})
      : text_(std::move(text)), size_(text_.size()), changed_(changed) {}
  Content(UniqueFd file, std::uint64_t size, std::optional<std::int64_t> changed)
      : file_(std::move(file)), size_(size), changed_(changed) {}

  using Open = std::function<Result<UniqueFd>()>;
  // `identity` tells contents of one path apart.
  Content(Open open, std::uint64_t size, std::optional<std::int64_t> changed,
          std::uint64_t identity)
      : open_(std::move(open)), identity_(identity), size_(size), changed_(changed) {}

  std::uint64_t size() const { return size_; }
  // Is it a file that is opened when it is read?
  bool is_lazy() const { return open_ != nullptr; }
  // The same, open from now on, whatever becomes of the file's name.
  Result<std::shared_ptr<const Content>> opened() const;
  // At most `count` bytes from `offset`; empty at the end. EIO when the host file cannot be read.
  Result<std::string> read(std::uint64_t offset, std::size_t count) const;
  // Same bytes? Texts by value, files by size.
  bool same_as(const Content& other) const;
  std::uint64_t digest() const;  // equal for equal contents
  // Since when the file holds it, wall clock in nanoseconds; nothing: only those know who saw it
  // change.
  std::optional<std::int64_t> changed() const { return changed_; }

 private:
  std::string text_;
  UniqueFd file_;
  Open open_;
  std::uint64_t identity_ = 0;
  std::uint64_t size_ = 0;
  std::optional<std::int64_t> changed_;
};
using ContentRef = std::shared_ptr<const Content>;

inline ContentRef text_content(std::string text, std::optional<std::int64_t> changed = {}) {
  return std::make_shared<const Content>(std::move(text), changed);
}

}  // namespace agentfs::vfs
