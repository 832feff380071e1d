// SPDX-License-Identifier: MIT
// What `.agentfs` does with a workspace or home as a whole: the handlers of its rows.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "fs/tree/tables.h"

namespace agentfs::tree {

Result<std::string> fork(const HistoryRoot& root, const Caller& caller, const std::string& name,
                         std::optional<std::string> checkpoint);
Result<std::string> discard(const HistoryRoot& root, const Caller& caller, const std::string& name);
Result<std::string> checkpoint(const HistoryRoot& root, const Caller& caller,
                               const std::string& name);
Result<std::string> rollback(const HistoryRoot& root, const Caller& caller,
                             const std::string& name);
Result<std::string> merge(const HistoryRoot& root, const Caller& caller, const std::string& name,
                          std::optional<std::string> how);
Result<std::string> resolve(const HistoryRoot& root, const Caller& caller, fcp::Chosen which,
                            const std::string& side);

Result<std::string> commit(const HistoryRoot& root, const Caller& caller);
Result<std::string> uncommit(const HistoryRoot& root, const Caller& caller);
Result<std::string> pin(const HistoryRoot& root, const Caller& caller);
Result<std::string> rebase(const HistoryRoot& root, const Caller& caller,
                           std::optional<std::string> how);

Result<std::string> show_status(const HistoryRoot& root, const Caller& caller);
Result<std::string> show_diff(const HistoryRoot& root, const Caller& caller);
Result<std::string> show_family(const HistoryRoot& root, const Caller& caller);
Result<std::vector<std::string>> list_snapshots(const HistoryRoot& root, const Caller& caller);
Result<vfs::TreeView> view_snapshot(const HistoryRoot& root, const Caller& caller,
                                    const std::string& name);

extern const vfs::DocumentOperations kConflicts;

}  // namespace agentfs::tree
