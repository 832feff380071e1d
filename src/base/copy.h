// SPDX-License-Identifier: MIT
// Copies of whole files.
#pragma once

#include <sys/stat.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/xattrs.h"

namespace agentfs {

// The bytes of `from` into the empty file `to`, or into a hole of the same size: small ones through
// memory, others by shared blocks where the disk can (FICLONE), else in the kernel. Holes stay
// holes. How many bytes were copied; shared ones were not.
Result<std::uint64_t> copy_bytes(int from, int to, const struct stat& attributes);
struct DataRange {
  off_t begin = 0;
  off_t end = 0;
};
// The next of the bytes from `at` to `size` of a file, open for reading, that lie in no hole;
// nothing where none do. Moves the file's own offset.
std::optional<DataRange> next_data(int file, off_t at, off_t size);
// How many of the bytes of a file, open for reading, lie in no hole.
std::int64_t data_bytes(int file, off_t size);
// Those of an open file, be it O_PATH, that this process may read.
void each_xattr(int file,
                const std::function<void(const std::string& name, std::string_view)>& use);
// Those of them that go with a file into a copy that is to be the file: is_brought().
Xattrs brought_xattrs(int file);
// Those of a file, be it O_PATH, that are not among `but`; what was made just now has those that
// its directory gives it.
Status remove_acls(int file, const Xattrs& but = {});
// Of these an error is one of the disk: what this process may not set, or the disk does not take,
// is left out. ACLs that `from` has not are taken away.
Status copy_xattrs(int from, int to);
// Those that goes_unseen() names (base/xattrs.h), beside what `to` has.
Status copy_unseen_xattrs(int from, int to);
Status set_attributes(int file, const struct stat& attributes);  // owner, mode and times
inline Status copy_attributes(int from, int to, const struct stat& attributes) {
  TRY(copy_xattrs(from, to));
  return set_attributes(to, attributes);
}
// Whether an errno says that a disk is full, or broken.
bool is_of_disk(int code);
// The same of an attribute that a file was to have: ENOSPC also says that it takes no more of them.
bool is_of_disk(int code, int file);
// What a program may do beyond its caller, if a file has that.
class FileCapabilities {
 public:
  explicit FileCapabilities(int file);
  void give(int file) const;  // as far as this process may; nothing where there were none

 private:
  std::array<char, 64> bytes_{};
  std::size_t size_ = 0;
};
// Whether nobody has changed a file between two looks at it, by its identity, size and times.
bool is_as_it_was(const struct stat& before, const struct stat& now);
// Whether two files, open for reading, hold the same from beginning to end.
Result<bool> same_bytes(int one, int other);

}  // namespace agentfs
