// SPDX-License-Identifier: MIT
// Commands that work on a kernel overlay of their workspace, and what they changed folded in.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "backends/exec_driver.h"
#include "backends/forest.h"
#include "backends/overlay_fold.h"
#include "base/file.h"
#include "kernel/caller.h"
#include "kernel/stored_caller.h"

namespace agentfs {

class Kernel;

// One command. Everything of it lies in STATE/fast/<number>: upper, work and aside are the
// overlay's, `order` is this as text.
struct FastRun {
  // running: the command is, or was when the daemon died. folding: its changes are being made in
  // the workspace. folded: all are made, not all told. kept: they could not be, for good.
  enum class Phase : char { running, folding, folded, kept };
  std::uint64_t number = 0;   // of the record that tells of the command's beginning
  std::uint64_t version = 0;  // the last number given to an old content then
  std::uint64_t lower = 0;    // the inode of the workspace's directory
  std::int64_t began = 0;     // by the disk's clock, nanoseconds; 0: not known
  std::string root{};         // "/workspaces/site"
  std::string command{};
  bool drop_failed = false;
  bool dry_run = false;
  bool keeps = false;    // conflicts that only the upper directory has
  bool is_told = false;  // of what is kept: the journal has the command's end
  Phase phase = Phase::running;
  StoredCaller by{};
  std::string record{};  // from folding on
  std::vector<FoldChange> changes{};
  std::size_t conflicts = 0;

  std::string text() const;
  static Result<FastRun> parse(std::string_view text);
};

// What became of a command's changes.
struct FastEnd {
  std::string how{};  // "folded", "dropped", "kept", "shown"
  std::size_t paths = 0;
  std::size_t conflicts = 0;
  std::string lines{};           // comments for whoever asked for the command, each "# …\n"
  std::optional<Error> error{};  // why nothing of it is in the workspace
};

// A part of its kernel. Threads: all but where it says otherwise.
class FastPath {
 public:
  explicit FastPath(Kernel& kernel) : kernel_(kernel) {}

  // A regular file, open for reading.
  struct Side {
    UniqueFd file{};
    struct stat state{};
    std::string text{};
  };

  // A sentence why this command cannot work on an overlay; "" where it can.
  std::string why_not(const ExecRequest& request) const;
  // Makes what the overlay needs and has the request use it. `run` has number, drop_failed and
  // dry_run; the rest is filled in.
  Status begin(const Caller& caller, FastRun& run, ExecRequest& request) const;
  // After the command's end, when nobody sees the overlay any more: folds, drops or shows what it
  // changed. Blocks on the disk, and on other folds into the workspace.
  FastEnd end(const Caller& caller, FastRun& run, bool failed);
  // When the journal has the command's end: removes all that is neither kept nor left half done.
  void close(FastRun& run, const FastEnd& end) const;
  // At a start, before anything else looks for merges that were left half done: ends what a crash
  // cut short, as if the command had failed then. What cannot be is told in the log.
  Status settle();

 private:
  std::string directory_of(std::uint64_t number) const;
  OverlayLeft left_of(const FastRun& run) const;
  Result<TreeSide> side_of(const FastRun& run) const;
  Status store(const FastRun& run) const;
  FastEnd end_alone(const Caller& caller, FastRun& run, bool failed);
  Result<FastEnd> fold(const Caller& caller, FastRun& run);
  Result<FoldPlan> plan(const Caller& caller, const FastRun& run, const TreeSide& ours,
                        FastEnd& end);
  bool is_changed(const FastRun& run, const std::string& path) const;
  static Result<Side> read_side(const std::string& directory, const std::string& path);
  std::string first_made(const FastRun& run, const FoldConflict& conflict) const;
  // The command's own, whatever was merged with it since.
  Result<Side> made_by(const FastRun& run, const FoldConflict& conflict) const;
  // What ours was when it was merged; nothing: it cannot be.
  Result<std::optional<struct stat>> merge(const FastRun& run, const FoldConflict& conflict) const;
  void refuse(const Caller& caller, const FastRun& run, const FoldConflict& conflict,
              FastEnd& end) const;
  std::optional<std::string> base_of(const FastRun& run, const std::string& path) const;
  Status take_back(FastRun& run, const TreeSide& ours);
  Status apply(FastRun& run, const TreeSide& ours);
  Status finish(const Caller& caller, const FastRun& run, std::size_t told = 0);
  void show(const FastRun& run);
  void show_dressed(const FastRun& run, bool has_links);
  void show_returned(const FastRun& run);
  Status tell(const Caller& caller, const FastRun& run, std::size_t told);
  // What the journal tells of the command after its beginning.
  struct Told {
    std::size_t changes = 0;
    std::string end{};  // FastEnd::how; "none": it never began; "": no end is told
  };
  Result<Told> told_of(const FastRun& run) const;
  static std::string shown(const FoldPlan& plan);
  Status settle_one(std::uint64_t number);
  Status resume(FastRun& run);
  Result<FastEnd> end_after_crash(const Caller& caller, FastRun& run, const Told& told);
  void drop(const FastRun& run) const;

  Kernel& kernel_;
};

}  // namespace agentfs
