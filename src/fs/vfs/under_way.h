// SPDX-License-Identifier: MIT
// Changes that are being made just now, for the start after a kill. Inside vfs only.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fs/vfs/change_order.h"
#include "kernel/caller.h"
#include "kernel/tree_change.h"

namespace agentfs::vfs {

class DataTree;

// The row of a change comes after the change, and a kill may come between. So each is noted here
// before it is made, in memory that the host's kernel keeps for the next daemon: a slot of the
// mapped file, empty or the author, the paths and what was kept before it, each with a NUL; a text
// that is too long for it has a file of its own, `<path>.<slot>`. Changes for which there is no
// slot, and all where the file cannot be had, are not noted. Threads: all.
class UnderWay {
 public:
  // What a dead daemon has left there stays until it is ended. An empty path: notes nothing.
  explicit UnderWay(const std::string& path);
  ~UnderWay();
  UnderWay(const UnderWay&) = delete;
  UnderWay& operator=(const UnderWay&) = delete;

  struct Left {
    int slot = -1;
    Caller author{};
    TreeChange change{};  // operation and paths
    json::Value kept{};   // of what it took away, which has no bytes in the past store; may be null
  };
  const std::vector<Left>& left_behind() const { return left_; }

  int begin(const Caller& author, const TreeChange& change);  // a slot; -1: it is not noted
  // Before the change: what it is about to take away.
  void note_kept(int slot, const json::Value& kept);
  void end(int slot);

 private:
  struct Slot;
  static constexpr unsigned kSlots = 64;

  std::string long_file(int slot) const;
  bool put_long(int slot, std::string_view text, int flags) const;
  std::string text_in(int slot) const;

  const std::string path_;
  Slot* slots_ = nullptr;
  std::atomic<std::uint64_t> taken_ = 0;  // a bit each
  std::vector<Left> left_;
};

// One change, on the stack of its function, from before it is made until its row is written. The
// row has the names that the change has at its turn.
class Undertaking {
 public:
  Undertaking(DataTree& tree, Caller author, const ChangeOrder::Naming& naming, TreeChange row);
  ~Undertaking();
  Undertaking(const Undertaking&) = delete;
  Undertaking& operator=(const Undertaking&) = delete;
  TreeChange& row() { return row_; }
  void note_kept(const json::Value& kept);  // before the change takes it away
  Status tell() const;                      // it has been made
  // The same of what is not taken back where its row is refused. Never ENOSPC, which would say that
  // it has not happened (with_room.h); the sentence, which is noted, has the journal's own.
  Status tell_done() const;

 private:
  DataTree& tree_;
  const ChangeOrder::Turn turn_;
  const Caller author_;
  TreeChange row_;
  const int slot_;
};

}  // namespace agentfs::vfs
