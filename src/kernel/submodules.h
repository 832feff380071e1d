// SPDX-License-Identifier: MIT
// Which changes below a .git are of what a commit of the workspace records: the commit that each
// repository in it has.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "backends/tree_store.h"
#include "base/error.h"

namespace agentfs {

// What a changed path below a workspace is noted as: itself where it is below no .git; "a/b/.git"
// where it tells the commit of the repository in a/b, or whether there is one; kSubmodules where it
// does so of a submodule, whose repository is in the workspace's own; ".gitignore" for what else
// the workspace's own leaves out, and ".gitattributes" for what else it goes by; kIndex where it
// says which paths git tracks; "" for all else.
inline constexpr std::string_view kSubmodules = ".git/modules";
inline constexpr std::string_view kIndex = ".git/index";
std::string noted_change(std::string_view path);

// Of noted changes of a tree, if there are any, with "sub/.git" for each of its submodules in the
// place of kSubmodules, and in any case for one whose directory has none: the making of that is no
// change that is noted. Which there are says its .gitmodules and, of the former, git's index.
Status name_submodules(TreeStore& store, const TreeNodeRef& root,
                       std::vector<std::string>& changed);
// The paths that a text of .gitmodules has.
std::vector<std::string> submodules_in(std::string_view text);

}  // namespace agentfs
