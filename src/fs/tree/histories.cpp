// SPDX-License-Identifier: MIT
// /.agentfs: the histories of all trees, where the session of the data trees does not serve them.
#include "fs/tree/tables.h"

namespace agentfs::tree {

Result<std::vector<std::string>> list_workspaces(const Kernel& kernel, const Caller& /*caller*/) {
  return kernel.workspaces();
}

namespace {

using vfs::files;

Result<std::vector<std::string>> list_homes(const Kernel& kernel, const Caller& caller) {
  std::vector<std::string> names;
  for (NamespaceEntry& entry : TRY(kernel.paths().list(caller, "/home"))) {
    if (S_ISDIR(entry.type)) names.push_back(std::move(entry.name));
  }
  return names;
}

constexpr auto kHomes = files<Kernel>({
    {.name = "<user>",
     .mode = 0555,
     .doc = "What the .agentfs of this home has.",
     .directory = &kHomeHistory,
     .list = list_homes},
});

constexpr auto kWorkspaces = files<Kernel>({
    {.name = "<name>",
     .mode = 0555,
     .doc = "What the .agentfs of this workspace has.",
     .directory = &kWorkspaceHistory,
     .list = list_workspaces},
});

const vfs::Directory<Kernel> kHomeHistories("", "The histories of homes.", find_kernel, kHomes);
const vfs::Directory<Kernel> kWorkspaceHistories("", "The histories of workspaces.", find_kernel,
                                                 kWorkspaces);

constexpr auto kFiles = files<Kernel>({
    {.name = "home", .mode = 0555, .doc = "The histories of homes.", .directory = &kHomeHistories},
    {.name = "workspaces",
     .mode = 0555,
     .doc = "The histories of workspaces.",
     .directory = &kWorkspaceHistories},
});

}  // namespace

const vfs::Directory<Kernel> kHistoriesDirectory("",
                                                 "What .agentfs has in each home and workspace.",
                                                 find_kernel, kFiles);

}  // namespace agentfs::tree
