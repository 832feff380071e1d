// SPDX-License-Identifier: MIT
// What belongs to a regular file or a directory beside what is in it, its mode and times: its owner
// and its extended attributes, ACLs among them.
#pragma once

#include <sys/types.h>

#include <string>

#include "backends/compare/content.h"
#include "backends/merge.h"
#include "base/xattrs.h"

namespace agentfs::compare {

struct FileAttributes {
  uid_t uid = 0;
  gid_t gid = 0;
  Xattrs xattrs{};

  friend bool operator==(const FileAttributes&, const FileAttributes&) = default;
};

// Those that are the user's: not what agentfs tells, nor what the host labels files with; of an ACL
// what is not in the mode.
FileAttributes attributes_of(const Leaf& leaf);

// Each by itself: what one side has changed is as there.
struct MergedAttributes {
  FileAttributes merged{};
  std::string clash{};  // one that both have changed, differently; "" where there is none
};
MergedAttributes merge_attributes(const FileAttributes& base, const FileAttributes& ours,
                                  const FileAttributes& theirs);

// Has conflicts tell what attributes theirs has.
Status note_attributes(std::vector<MergeConflict>& conflicts, const TreeSide& theirs);

// Gives a file these, and no others, as far as this process and the disk may. An ACL needs the mode
// that the file is to have.
Status set_attributes(const Leaf& to, const FileAttributes& wanted, mode_t mode);

}  // namespace agentfs::compare
