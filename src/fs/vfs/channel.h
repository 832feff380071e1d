// SPDX-License-Identifier: MIT
// The file system as one session of the host's kernel knows it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "fs/vfs/node_table.h"
#include "fs/vfs/services.h"

namespace agentfs::vfs {

// The numbers of its nodes and open descriptors, and the way to tell it of changes; several may
// serve one FileSystem, which outlives them and makes them. Node ids are handed out by remember()
// and live until forget() has taken back as many lookups as were given. Threads: all.
class Channel {
 public:
  static constexpr std::uint64_t kRoot = 1;

  explicit Channel(NodeRef root);
  ~Channel() { close(); }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  Result<NodeRef> node(std::uint64_t id) { return nodes_.get(id); }  // ESTALE: not in use
  // Counts one lookup of the node; the same node gets the same id as long as it is known.
  std::uint64_t remember(const NodeRef& node);
  // Of more nodes than this the host's kernel is asked to forget some; `when_crowded` has prune()
  // called on the event thread. Twice as many are waited for, where that helps. Before the
  // session's first request.
  void limit_nodes(std::size_t most, std::function<void()> when_crowded);
  void prune();
  // Whether a name may be told as not being there for long. The host's kernel forgets no directory
  // of which it knows such a name, so of a limited number half are left without.
  bool may_tell_absence() { return most_nodes_ == 0 || nodes_.size() < most_nodes_ / 2; }
  void forget(std::uint64_t id, std::uint64_t lookups) { nodes_.forget(id, lookups); }
  std::uint64_t known(const Node* node) { return nodes_.find(node); }  // 0: never looked up
  std::size_t known() { return nodes_.size(); }
  // Those of them that agentfs itself has taken all names from, or left in a state that is over.
  std::vector<NodeRef> left_behind(const std::vector<std::uint64_t>& ids);

  // A handle's number for fi->fh.
  std::uint64_t keep(std::shared_ptr<Handle> handle, Opener opener);
  // ENFILE where who asks has as many files open as one user may, or all have as many as may be:
  // some of the descriptors that the daemon can have stay for its own work. EMFILE of one process
  // that has three quarters of them: the rest is for what else that user runs.
  Status may_open(Opener opener);
  std::shared_ptr<Handle> handle(std::uint64_t number) { return handles_.find(number); }
  std::shared_ptr<Handle> drop(std::uint64_t number) { return handles_.drop(number); }

  // What requests of this session see; a change counts from the next one on.
  void set_part(Part part) { part_ = part; }
  Part part() const { return part_; }

  // Null before and after a session; who is being told then stays until that is over.
  void set_invalidator(std::shared_ptr<Invalidator> invalidator);
  std::shared_ptr<Invalidator> invalidator();
  // The session has ended: what is open is released, what is known forgotten.
  void close();

 private:
  NodeTable nodes_;
  HandleTable handles_;
  void make_room();

  const std::size_t most_open_;  // of the process's limit when the session began
  std::atomic<Part> part_ = Part::whole;
  std::atomic<std::size_t> most_nodes_ = 0;  // 0: any number
  std::function<void()> when_crowded_{};
  std::atomic<std::size_t> crowd_ = 0;    // how many there were when that was asked for last
  std::atomic<std::int64_t> pruned_ = 0;  // when that was last asked for, monotonic, nanoseconds
  std::atomic<int> in_vain_ = 0;          // waits on end that did not help
  std::atomic<std::int64_t> waits_from_ = 0;  // after those
  Mutex<Rank::node_table> mutex_;
  std::shared_ptr<Invalidator> invalidator_ GUARDED_BY(mutex_);
};

}  // namespace agentfs::vfs
