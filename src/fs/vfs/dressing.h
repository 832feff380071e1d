// SPDX-License-Identifier: MIT
// What a new file gets from the one whose place it takes. Inside vfs only.
#pragma once

#include "base/xattrs.h"
#include "fs/vfs/node.h"

namespace agentfs::vfs {

// ACLs and what users have set.
Xattrs xattrs_of(Request& request, Node& node);
// Those that this process may not set are left out, as cp(1) does.
void set_xattrs(Request& request, const Xattrs& xattrs, Node& to);
// What was made just now has ACLs from its directory; what it is made of may have had others, or
// none.
void drop_inherited_acls(Request& request, const Xattrs& from, Node& to);

// As a write in place would leave the file that was there: whose it is, its mode and attributes.
// Set-ID bits are for who has it: they go where it cannot be given, and, as with write(2), where
// it is not root who writes.
Status dress_like(Request& request, const Found& old, Node& made, Handle& handle);

}  // namespace agentfs::vfs
