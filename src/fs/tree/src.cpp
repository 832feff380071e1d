// SPDX-License-Identifier: MIT
// /src: what is shared as source.
#include "fs/tree/tables.h"

namespace agentfs::tree {
namespace {

constexpr auto kFiles = vfs::files<Kernel>({
    {.name = "repos",
     .mode = 0755,
     .doc = "Bare git repositories, plain directories without a history beside their own: git init "
            "--bare NAME.git makes one; clone, fetch and push by its path.",
     .data = true},
});

}  // namespace

const vfs::Directory<Kernel> kSrcDirectory("", "What is shared as source.", find_kernel, kFiles);

}  // namespace agentfs::tree
