// SPDX-License-Identifier: MIT
// What a new file gets from the one whose place it takes. Inside vfs only.
#pragma once

#include "base/copy.h"
#include "base/xattrs.h"
#include "fs/vfs/node.h"

namespace agentfs::vfs {

// Attributes that this process may not set, or that the disk knows nothing of, are left out, as
// cp(1) does: an error is one of the disk.
template <class T>
Status disk_error_of(const Result<T>& done) {
  return done || !is_of_disk(done.error().code) ? ok() : Status(std::unexpected(done.error()));
}

// ACLs and what users have set.
Result<Xattrs> xattrs_of(Request& request, Node& node);
Status set_xattrs(Request& request, const Xattrs& xattrs, Node& to);
// What was made just now has ACLs from its directory; what it is made of may have had others, or
// none.
Status drop_inherited_acls(Request& request, const Xattrs& from, Node& to);

// Of what has another group than its origin: that one gets no more than all others have.
mode_t without_group(mode_t mode);

// As a write in place would leave the file that was there: whose it is, its mode and attributes.
// Set-ID bits are for who has it: they go where it cannot be given, and, as with write(2), where
// it is not root who writes.
Status dress_like(Request& request, const Found& old, Node& made, Handle& handle);

}  // namespace agentfs::vfs
