// SPDX-License-Identifier: MIT
// The refs of the daemon's commits, from files of their own into the one where git packs refs.
//
// Each commit changes the directory that its ref lies in, and what kept that directory as it was
// has all names in it once more: with as many checkpoints as refs that is their square.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "backends/forest.h"
#include "base/error.h"

namespace agentfs {

class Kernel;

// The text of a packed-refs (gitformat-pack-refs, in git-pack-refs(1) and refs/packed-backend.c)
// with these refs, of commits, beside its own or in their place: names and ids in hex. Sorted; what
// its first line says of it goes on to hold. Errors: EBADMSG where it is none.
Result<std::string> with_refs(std::string_view packed,
                              const std::map<std::string, std::string>& refs);

// Where a directory of such refs ("refs/agentfs/checkpoints") in the .git of a workspace has more
// than some hundred, they are packed. While a git holds the lock of the packed ones, nothing is
// done; what fails is in the log, and every ref is where it was. By who commits there.
void pack_refs(Kernel& kernel, Forest& forest, const std::string& root,
               const std::string& directory);

}  // namespace agentfs
