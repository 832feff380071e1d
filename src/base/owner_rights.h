// SPDX-License-Identifier: MIT
// What an ordinary user's daemon does with its own files whose mode forbids even their owner.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace agentfs {

// For its life the mode of a file or directory has further bits of its owner's. Root needs none,
// and who is not the owner gets none: then nothing is done. Meanwhile a note lies in `room`, so
// that mend_rights() puts right what a kill leaves: of a file one more name, of a directory a link
// to it. Whoever must not see the bits is kept away by a lock of the caller's.
class OwnerRights {
 public:
  OwnerRights() = default;
  // `file` may be an O_PATH descriptor; `room` is a directory of the same disk and stays open.
  static Result<OwnerRights> lend(int file, mode_t bits, int room);
  OwnerRights(OwnerRights&& other) noexcept;
  OwnerRights& operator=(OwnerRights&&) = delete;
  ~OwnerRights();

  // The directory may be found there, too, by the time it is given back.
  Status may_move_to(const std::string& path);
  bool are_lent() const { return static_cast<bool>(file_); }

 private:
  Status note_directory(const std::string& place);
  Status note_file();
  std::string path() const { return fmt::format("/proc/self/fd/{}", file_.get()); }

  UniqueFd file_;  // none: nothing is lent
  mode_t mode_ = 0;
  ino_t inode_ = 0;
  int room_ = -1;
  std::vector<std::string> notes_;
};

// Gives back what a killed process had lent itself. Before anything else uses the room.
Status mend_rights(int room);

}  // namespace agentfs
