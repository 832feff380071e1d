// SPDX-License-Identifier: MIT
// The upper directory of a kernel overlay, read without the overlay.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/directory.h"
#include "base/error.h"
#include "base/file.h"
#include "base/xattrs.h"

namespace agentfs::compare {

// One entry; what the kernel keeps of it in trusted.overlay.*.
struct UpperEntry {
  enum class Kind { whiteout, directory, leaf };
  Kind kind = Kind::leaf;
  struct stat state{};
  bool is_opaque = false;  // a directory that hides what the lower one has
  bool is_copied = false;  // of something that the lower directory has, or had
  std::string redirect{};  // of a renamed directory: "/path" from the root, or a name beside it
};

// Threads: one. Nobody changes the directory meanwhile. Paths are relative; links are not followed.
class UpperDirectory {
 public:
  static Result<UpperDirectory> open(const std::string& directory);
  Result<std::vector<std::string>> names(const std::string& path) const;  // sorted; "" is the root
  Result<std::vector<HostEntry>> listing(const std::string& path) const;  // in no order
  Result<UpperEntry> entry(const std::string& path) const;
  int descriptor() const { return directory_.get(); }
  // For calls that take a path; valid as long as this.
  std::string host_path(const std::string& path) const;

 private:
  explicit UpperDirectory(UniqueFd directory) : directory_(std::move(directory)) {}
  UniqueFd directory_;
};

// The files of the work directory's index, by the number that the lower file has: what was changed
// under any of a file's names. The value is the name in the index.
Result<std::map<ino_t, std::string>> read_index(const std::string& work, const std::string& lower);

// Those that are brought along (base/xattrs.h).
Result<Xattrs> brought_xattrs(const std::string& host_path);
// Takes trusted.overlay.* off a file, without following a link.
void strip_overlay(int directory, const std::string& name);

}  // namespace agentfs::compare
