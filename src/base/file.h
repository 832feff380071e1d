// SPDX-License-Identifier: MIT
// File descriptors that close themselves, and the few whole-file operations the state needs.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace agentfs {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

namespace file {

Result<std::string> read(const std::string& path);
// Reads to the end of a descriptor, also of files in /proc whose size says 0.
Result<std::string> read(int fd);
Status write_all(int fd, std::string_view bytes);
// Replaces the file by temporary file, fsync and rename: a crash leaves the old or the new text,
// and perhaps the temporary file, `aside` or one beside the file that is_unfinished() tells.
Status replace(const std::string& path, std::string_view bytes, mode_t mode = 0644,
               const std::string& aside = {});
// Whether a file of this name was left by a crash within replace(): it is nothing to anybody.
bool is_unfinished(std::string_view name);
Status remove(const std::string& path);  // no directory; where there is nothing: nothing
Status make_directories(const std::string& path, mode_t mode = 0755);
// The directory, with nothing in it. One that is there stays, since a full disk may have no room
// for another; what else has the name goes.
Status make_empty_directory(const std::string& path, mode_t mode);
bool exists(const std::string& path);
// For sure: what cannot be looked at may be there.
bool is_absent(const std::string& path);
// Of an open file, O_PATH or not: never another's on the same disk, also when the inode number has
// been given again (its handle, name_to_handle_at(2), hashed). 0 where the disk has no handles.
std::uint64_t identity(int fd);
std::uint64_t identity(std::string_view handle);  // of one whose handle is known

}  // namespace file
}  // namespace agentfs
