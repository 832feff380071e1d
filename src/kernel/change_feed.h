// SPDX-License-Identifier: MIT
// What changes in workspaces and homes, a line each, as it happens.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "kernel/journal.h"

namespace agentfs {

// Threads: all. Keeps the newest lines in memory, at most 32 MiB of all and beyond those 200 of
// each workspace and home, whatever happens elsewhere, for as long as it has that name; the journal
// has them all. A line is the record's, shorter:
//   {"seq":812,"time":"2026-…Z","op":"write","path":"/workspaces/site/a.c","bytes":120,
//    "version":41,"by":[7,1],"user":"root","command":"sed","via":"call:3"}
// What lay ready under a name of the daemon's own is told by the rename to its place, as what comes
// of it there. `other` is a rename's new path, or the old name of a new hard link; `version` what
// the content before is kept as, `not_kept` why it is not; `unfinished` why a commit could not be
// ended; path_hex and other_hex stand beside names that are not UTF-8.
class ChangeFeed {
 public:
  static constexpr std::size_t kMostBytes = std::size_t{32} << 20;
  static constexpr std::size_t kFloor = 200;         // lines of a root
  static constexpr std::size_t kMostLines = 10'000;  // that one reading gives
  using Receiver = std::function<void(std::string_view lines, bool end)>;

  // In the journal's order, by whoever appends to it. What is no change is not taken.
  void add(const Record& record);
  // Hands what has been added to who follows, in order, on this thread or on that of another who
  // is telling at the moment: the last of a root when that is gone or has another name. With no
  // lock held; receivers must not block.
  void tell();
  // The newest lines of a workspace or home, "/workspaces/site", after a record of the journal; of
  // all where `root` is empty.
  std::string text(const std::string& root, Sequence after = {}) const;
  // Records up to this one have not been added: they were made before a start, which reads the
  // newest alone.
  void begin_after(Sequence record);
  // Of a root whose newest lines after a record may be among those: the last of them; else nothing.
  std::optional<Sequence> missing(const std::string& root, Sequence after) const;
  // Those of them that are of the root, in order; more than kFloor are not kept.
  void add_missing(const std::string& root, const std::vector<Record>& records);
  // Whether who follows may still be told; asked when the root may be another's since a line.
  using MayGoOn = std::function<bool()>;
  // What is added from now on.
  std::uint64_t subscribe(const std::string& root, Receiver receiver, MayGoOn may_go_on);
  void unsubscribe(std::uint64_t subscription);

 private:
  struct Line {
    std::uint64_t number = 0;
    Sequence record{};
    std::string root;                  // "/workspaces/site"
    std::string other_root;            // of a rename between two; empty otherwise
    std::vector<std::string> ended{};  // roots that are gone since, or have another name
    bool exchanges = false;            // those have each other's
    bool is_of_top = false;            // the root itself may be another's since
    std::string text{};
    static std::optional<Line> of(const Record& record);  // nothing: it is no change
    bool is_of(std::string_view wanted) const {
      return wanted.empty() || wanted == root || wanted == other_root;
    }
  };
  struct Follower {
    std::string root;
    Receiver receiver;
    MayGoOn may_go_on;
    std::uint64_t told = 0;  // the number of the last line
  };
  struct Parcel {
    std::uint64_t subscription = 0;
    Receiver receiver{};
    MayGoOn may_go_on{};  // to be asked, if any
    std::string text{};
    bool is_last = false;
  };
  std::vector<Parcel> untold() REQUIRES(mutex_);
  void end(std::uint64_t subscription) EXCLUDES(mutex_);
  void retire_oldest() REQUIRES(mutex_);
  // The newest lines of a root, back to where one is `known`, at most `most`.
  template <class Known>
  std::string lines_of(std::string_view root, const Known& known, std::size_t most) const
      REQUIRES(mutex_);

  mutable Mutex<Rank::queue> mutex_;
  std::deque<Line> lines_ GUARDED_BY(mutex_);
  std::size_t bytes_ GUARDED_BY(mutex_) = 0;
  std::map<std::string, std::deque<Line>, std::less<>> older_ GUARDED_BY(mutex_);  // by root
  std::uint64_t last_ GUARDED_BY(mutex_) = 0;
  Sequence begun_after_ GUARDED_BY(mutex_){};
  std::set<std::string, std::less<>> whole_ GUARDED_BY(mutex_);  // roots that miss nothing
  std::map<std::uint64_t, Follower> followers_ GUARDED_BY(mutex_);
  std::uint64_t next_subscription_ GUARDED_BY(mutex_) = 1;
  bool telling_ GUARDED_BY(mutex_) = false;
  std::atomic<bool> followed_ = false;
};

// The line of a record, with its newline; "" for what is no change in a workspace or home.
std::string change_line(const Record& record);
// Whether the record is about a path at or below `root`; always where `root` is empty.
bool is_change_of(const Record& record, std::string_view root);
// What the feed has of a workspace or home, and what it misses. May read the disk, once a root.
Result<std::string> newest_changes(const Journal& journal, ChangeFeed& feed,
                                   const std::string& root, Sequence after);
// The first 10,000 lines after a record of the journal, however old. Reads the disk.
Result<std::string> changes_since(const Journal& journal, Sequence after, std::string_view root);

}  // namespace agentfs
