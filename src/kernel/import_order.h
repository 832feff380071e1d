// SPDX-License-Identifier: MIT
// A commit or uncommit of an import under way, as the mark of the import holds it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "backends/forest.h"
#include "kernel/stored_caller.h"

namespace agentfs {

// Stored before the first change of the directory, so that a crash leaves what is to be ended and
// not what is to be guessed. In the paths in which `from` and `to` differ, the directory goes from
// `start` to `to`; of a commit `from` is `start`.
struct ImportOrder {
  std::string operation{};  // "commit", "uncommit"
  SnapshotId start{};       // the hidden tree as it was when the order was given
  SnapshotId from{};        // of an uncommit, what the commit left
  SnapshotId to{};
  StoredCaller by{};

  bool is_commit() const { return operation == "commit"; }
  std::string note() const;
  static std::optional<ImportOrder> parse(std::string_view note);  // null: an ImportMark
};

// Labels of states that orders need; no name of a checkpoint has a slash.
inline constexpr char kOrderStart[] = "order/start";    // of the hidden tree
inline constexpr char kOrderWanted[] = "order/wanted";  // of the workspace
inline constexpr char kUndone[] = "order/undone";       // what came of one, dropped at once
// Of the hidden tree as it is not any more, for conflicts whose theirs is in it.
inline constexpr char kRefused[] = "rebase/refused";
// The mark of a rebase, and that of a rollback of the workspace.
struct ImportMark {
  SnapshotId before{};  // what the hidden tree was
  std::string undo{};   // of a rollback: the checkpoint that undoes it once it is made
  std::string note() const;
  static Result<ImportMark> parse(std::string_view note);
};

// Of the hidden tree as a commit that began at `start` left it.
std::string committed_label(SnapshotId start);
struct ImportCommit {
  SnapshotId before{};
  SnapshotId after{};
};
// As an uncommit that began at `start` left it. `commit`: the state that it took back, all of it.
std::string uncommitted_label(SnapshotId start, std::optional<SnapshotId> commit);
// Where the commit or uncommit began that left this state; nothing of others.
std::optional<SnapshotId> order_start(const SnapshotInfo& state);
// What was committed and is not any more, where a checkpoint of in between may be gone back to.
struct ImportUncommit {
  SnapshotId start{};
  SnapshotId after{};
  std::optional<SnapshotId> commit{};  // the state that it took back, all of it
};
std::optional<ImportUncommit> uncommit_of(const SnapshotInfo& state);
std::optional<ImportCommit> commit_of(const SnapshotInfo& state);
// The newest that was not taken back.
std::optional<ImportCommit> last_commit(const TreeInfo& hidden_tree);

}  // namespace agentfs
