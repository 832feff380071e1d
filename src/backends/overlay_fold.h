// SPDX-License-Identifier: MIT
// What a command has changed on a kernel overlay of a tree, as changes of the tree.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "backends/compare.h"
#include "base/error.h"
#include "base/growth.h"

namespace agentfs {

// What is left of the overlay, which nobody has mounted any more: host directories of one disk,
// nobody else's. `aside` takes what of the upper directory comes into no tree.
struct OverlayLeft {
  std::string upper{};
  std::string work{};
  std::string aside{};
  std::string lower{};  // the tree's own directory on the disk
};

// One change of the tree. Paths are relative to its root.
struct FoldChange {
  std::string
      operation{};  // as the journal's rows: create write mkdir symlink mknod remove rename …
  std::string path{};
  std::string other{};        // the new name of a rename
  bool is_directory = false;  // what was removed or renamed
  bool is_exchange = false;   // the two directories have changed places
  bool is_inner = false;      // below a directory that is new itself
  bool is_silent = false;     // another name of a file that is told of; not for the journal
  std::uint64_t bytes = 0;
};

// A path that others have changed while the command ran. The tree keeps what it has.
struct FoldConflict {
  std::string path{};
  std::string upper{};   // the command's side, relative to the upper directory; "": it was removed,
                         // or is that of another name of the file
  bool is_text = false;  // regular files on both sides: a merge may be tried
};

struct FoldPlan {
  std::vector<FoldChange> changes{};
  std::vector<FoldConflict> conflicts{};
  std::vector<std::string> notes{};  // sentences: what was left out
  bool leaves_some = false;          // of the command's work in `upper`
  std::string record{};              // for stage() and the calls of a TreeMerger
  Growth growth{};
  bool is_empty = true;  // nothing is to be done
};

// The life of a fold is that of a merge (backends/merge.h) but for its beginning: plan(), whose
// record the caller stores, then stage(), whose record it stores too, then TreeMerger::apply() and,
// when its success is stored, TreeMerger::finish() and dress(). After a crash: all from stage() on
// again after TreeMerger::undo(), or, where success was stored, from finish() on. Threads: all, one
// life a tree at a time.
class OverlayFolder {
 public:
  virtual ~OverlayFolder() = default;

  // Whether others have changed the path in the tree, since the overlay was made.
  using Changed = std::function<bool(const std::string& path)>;
  // Changes nothing. ENAMETOOLONG, or the disk's errors.
  virtual Result<FoldPlan> plan(const TreeSide& ours, const OverlayLeft& left,
                                const Changed& changed) const = 0;
  // Moves all that is new into kMergeDirectory in the tree's root. What is there already stays: it
  // may be called again.
  virtual Result<std::string> stage(const TreeSide& ours, const OverlayLeft& left,
                                    const std::string& record) const = 0;
  // Moves it back, so that another plan can be made; after TreeMerger::undo().
  virtual Status unstage(const TreeSide& ours, const OverlayLeft& left,
                         const std::string& record) const = 0;
  // Of what is in its place: takes the overlay's own attributes off the files, and gives the
  // directories the modes, times and attributes that the command gave them.
  virtual Status dress(const TreeSide& ours, const OverlayLeft& left,
                       const std::string& record) const = 0;

  // Waits until nobody has the overlay mounted: ETIMEDOUT after some seconds.
  virtual Status wait_until_free(const OverlayLeft& left) const = 0;
};

}  // namespace agentfs
