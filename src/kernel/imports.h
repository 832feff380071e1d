// SPDX-License-Identifier: MIT
// Workspaces made of directories of the host, and what is brought back to these.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "backends/forest.h"
#include "backends/import_store.h"
#include "base/hold.h"
#include "kernel/caller.h"

namespace agentfs {

class Kernel;
struct ImportMark;
struct ImportOrder;

// A part of its kernel, without a state of its own. A hidden tree beside the workspaces is what the
// directory held when it was last looked at, its files lent (backends/lender.h); the workspace is a
// fork of it. So what was done is what differs from the hidden tree, and what the directory's
// owner does meanwhile is a merge. From the first change of the hidden tree to the end of that
// merge the store has a mark, and what was before is what counts: it comes back where the merge is
// not made, at the next command or start. Of a commit or uncommit the mark is the order, which is
// carried out to its end there. Threads: all; one change of an import at a time (EBUSY).
//
// Only the owner of the mount imports and writes back, no agent: EPERM. Other errors: EDEADLK for a
// directory that holds the mount or the state, or is in one; EBUSY where the directory is not as it
// was last looked at; ENOENT, EACCES with the path.
class Imports {
 public:
  explicit Imports(Kernel& kernel) : kernel_(kernel) {}

  Result<std::string> import(const Caller& caller, const std::string& source,
                             const std::string& name);
  // Makes the directory what the workspace is, but for .git and what no import has, which the
  // answer names where a directory stays with it: all of it or, where something there has changed
  // since it was last looked at, nothing.
  Result<std::string> commit(const Caller& caller, const std::string& root);
  // Takes back what the last commit made in the directory, and nothing else: all of it or, where
  // something of it has changed since, nothing. The workspace stays.
  Result<std::string> uncommit(const Caller& caller, const std::string& root);
  // Merges what has changed in the directory into the workspace, as a merge of a fork.
  Result<std::string> rebase(const Caller& caller, const std::string& root, bool partial);
  // Copies what is still read from the directory, which may change from then on.
  Result<std::string> pin(const Caller& caller, const std::string& root);

  // While it lives none of these is begun. EBUSY while one is under way.
  Result<Hold> hold(const std::string& root) const;
  // So that its name can go. Where that is refused, the next commit of what is empty by then is,
  // too: who removes a workspace does not mean its directory.
  Result<Hold> hold_for_removal(const std::string& root) const;
  // Ends what a crash or a directory that was away has cut short; what cannot be is told in the
  // log. Waits for merges into the root.
  void end_half_done(const std::string& root);
  // For a checkpoint of the workspace: what the directory was taken for then. Nothing for a root
  // that is no import or half done, as go_back_to().
  Status keep_base(const std::string& root, const std::string& checkpoint);
  void drop_base(const std::string& root, const std::string& checkpoint);
  // Before the workspace becomes what that checkpoint kept: what rebases have taken over since is
  // not in it any more, so it counts as not seen yet; what commits have written stays known.
  // Undone by end_half_done() where `undo` is then no state that the workspace was before.
  Status go_back_to(const std::string& root, const std::string& checkpoint,
                    const std::string& undo);

  // What the directory held when it was last looked at; null for a workspace that is no import.
  TreeNodeRef base(const std::string& root) const;
  // Lines of status: "!\tsrc/main.c\tchanged in /home/ann/site"; "" where all is as recorded.
  Result<std::string> drift(const std::string& root) const;
  // The hidden tree was merged into its workspace: what it is now is what counts.
  Status merged(const std::string& tree);
  // At a start: what a crash cut short, and the hidden trees that no workspace reads any more, or
  // none ever did.
  Status settle();
  // While it runs: hidden trees whose workspaces are gone. Their records stay, since versions may
  // be lent.
  void drop_unread();

 private:
  struct Import {
    std::uint32_t id = 0;
    std::string tree{};    // the hidden one
    std::string source{};  // the directory
    std::string root{};    // the workspace
  };
  struct HiddenTree {
    Import import{};  // without a root where no workspace reads it
    bool was_forked = false;
    bool is_read() const { return !import.root.empty(); }
  };
  std::vector<HiddenTree> hidden_trees() const;
  Status drop_hidden(const std::string& tree) const;
  std::optional<Import> find(const std::string& root) const;
  Result<Import> get(const Caller& caller, const std::string& root) const;
  Status may_import(const Caller& caller, const std::string& what) const;
  Status check_source(const std::string& source) const;
  Status make(const Caller& caller, const Import& import, const std::string& name);
  // Makes the hidden tree what the directory is now at these paths, and records that.
  // `written` of them are what was written there, and not what is there now.
  Status refresh(const Import& import, const std::vector<HostDrift>& drifts,
                 std::vector<HostChange> written = {});
  Status end_half_done(const Import& import);
  Status settle_one(const Import& import);
  Status put_back(const Import& import);
  void drop_refused(const Import& import);

  // Of checkpoints: kernel/import_bases.cpp.
  struct Base {
    SnapshotId state{};
    std::size_t records = 0;
  };
  std::vector<SnapshotInfo> states_of(const Import& import) const;  // of the hidden tree
  Result<std::set<std::string>> taken_over(const Import& import, SnapshotId since,
                                           SnapshotId now) const;
  Status go_back_but_for(const Import& import, const Base& base,
                         const std::vector<HostDrift>& changes,
                         const std::set<std::string>& forgotten);
  Status forget_since(const Import& import, const Base& base, const ImportMark& mark);
  Status end_going_back(const Import& import, const ImportMark& mark);
  void drop_bases(const Import& import);
  void drop_uncommitted(const Import& import);

  // Of orders: kernel/import_commits.cpp.
  Result<std::vector<PathChange>> difference(SnapshotId before, SnapshotId after) const;
  Result<std::vector<PathChange>> changes_of(const ImportOrder& order) const;
  // EBUSY with the paths where the directory is not what the commit left any more.
  Status check_still_there(const Import& import, const ImportOrder& order) const;
  Status check_not_drifted(const Import& import, const std::vector<std::string>& paths);
  bool is_empty(const Import& import) const;  // not where nobody can tell
  Status check_not_emptied(const Import& import) const;
  std::string unremoved_note(std::uint32_t id) const;  // a file that is there where it was refused
  Status check_room_for(const Import& import, const ImportOrder& order,
                        const std::vector<PathChange>& changes) const;
  Status begin(const Import& import, const ImportOrder& order);
  struct Outcome {
    std::size_t changes = 0;
    std::string note{};  // what stays there, what is something else already; "" or lines
  };
  Result<Outcome> carry_out(const Caller& caller, const Import& import, const ImportOrder& order);
  Status tell(const Caller& caller, const Import& import, const ImportOrder& order,
              const std::vector<std::string>& paths);
  // Of what was made in the directory: nothing of it is missing there where this fails.
  Status take_over(const Caller& caller, const Import& import, const ImportOrder& order,
                   const HostWritten& made, std::vector<HostChange> changes);
  Status end(const Import& import, const ImportOrder& order, bool leaves_something);
  Status end_order(const Import& import, const ImportOrder& order);
  void drop(SnapshotId state);
  void drop_leftovers(const Import& import);

  Forest& forest() const;
  ImportStore& store() const;

  Kernel& kernel_;
};

}  // namespace agentfs
