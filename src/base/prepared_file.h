// SPDX-License-Identifier: MIT
// The replacement of a small file, whose room on the disk is there before it is known.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/file.h"

namespace agentfs {

// One thread. What was begun and not used goes with the object; a crash leaves it beside the file,
// by a name that is_left().
class PreparedFile {
 public:
  // ENOSPC where the disk has not so many bytes.
  static Result<PreparedFile> begin(const std::string& path, std::size_t bytes);
  static bool is_left(std::string_view name);
  PreparedFile(PreparedFile&&) = default;
  PreparedFile& operator=(PreparedFile&&) = delete;
  ~PreparedFile();

  // At most as many bytes as were prepared need no room. Once. `durable`: on the disk when it
  // returns; else the old or the new ones are, after a power cut.
  Status replace(std::string_view bytes, bool durable);

 private:
  PreparedFile(std::string path, UniqueFd file) : path_(std::move(path)), file_(std::move(file)) {}
  std::string temporary() const;

  std::string path_;
  UniqueFd file_;
};

}  // namespace agentfs
