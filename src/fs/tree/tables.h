// SPDX-License-Identifier: MIT
// The directories that tables refer to across files, and what their objects are found by.
#pragma once

#include "fs/vfs/directory.h"
#include "kernel/kernel.h"

namespace agentfs::tree {

struct CallObject {  // /proc/<pid>/calls/<n>
  ProcessRef process;
  CallRef call;
};

struct HistoryRoot {  // .agentfs of a workspace or home
  Kernel* kernel = nullptr;
  std::string path;  // "/workspaces/site"
};

extern const vfs::Directory<HistoryRoot> kHistoryDirectory;
extern const vfs::Directory<HistoryRoot> kHomeHistory;
extern const vfs::Directory<HistoryRoot> kWorkspaceHistory;
Result<std::vector<std::string>> list_workspaces(const Kernel& kernel, const Caller& caller);
extern const vfs::Directory<Kernel> kHistoriesDirectory;
extern const vfs::Directory<Kernel> kProcDirectory;
extern const vfs::Directory<Process> kProcessDirectory;
extern const vfs::Directory<Process> kCallsDirectory;
extern const vfs::Directory<CallObject> kCallDirectory;
extern const vfs::Directory<Kernel> kSysDirectory;
extern const vfs::Directory<Kernel> kDevDirectory;
extern const vfs::Directory<Kernel> kSrcDirectory;
extern const vfs::DocumentOperations kMessages;        // of a Process
extern const vfs::DocumentOperations kProcessContext;  // of a Process
extern const vfs::DocumentOperations kVersions;        // of a HistoryRoot: PATH/NUMBER
extern const vfs::DocumentOperations kTrash;           // of one: the paths things had
extern const vfs::DocumentOperations kEtc;             // of a Kernel

// The object of tables that belong to the machine as a whole.
Result<std::shared_ptr<const Kernel>> find_kernel(const Caller& caller, const vfs::Key&);
// key[0] is a pid.
Result<ProcessRef> find_process(const Caller& caller, const vfs::Key& key);

}  // namespace agentfs::tree
