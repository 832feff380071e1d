// SPDX-License-Identifier: MIT
// The feeds of changes, of one workspace or home and of all ("").
#pragma once

#include "fs/vfs/directory.h"
#include "kernel/change_feed.h"
#include "kernel/kernel.h"

namespace agentfs::tree {

Result<vfs::Unsubscribe> follow_changes(const Kernel& kernel, const std::string& root,
                                        vfs::Sink sink, ChangeFeed::MayGoOn may_go_on = {});
// `sequence` is a name as it was looked up; nothing before `horizon` is told. ENOENT for what is no
// number.
Result<std::string> events_since(const Kernel& kernel, const std::string& root,
                                 const std::string& sequence, Sequence horizon = {});
// What is found by name only.
Result<std::vector<vfs::DocumentEntry>> list_nothing(const void*, const Caller&,
                                                     const std::string&);

extern const vfs::Directory<Kernel> kWorkspacesDirectory;  // /sys/workspaces

}  // namespace agentfs::tree
