// SPDX-License-Identifier: MIT
// The files of a data tree that are open for writing.
#include <unistd.h>

#include "fs/vfs/data_guard.h"
#include "fs/vfs/data_handle.h"

namespace agentfs::vfs {

void DataTree::add_writer(const std::shared_ptr<DataNode>& node, DataHandle& writer) {
  Lock lock(mutex_);
  writers_[node].insert(&writer);
}

void DataTree::remove_writer(const std::shared_ptr<DataNode>& node, DataHandle& writer) {
  Lock lock(mutex_);
  const auto found = writers_.find(node);
  found->second.erase(&writer);
  if (found->second.empty()) writers_.erase(found);
}

std::vector<std::shared_ptr<DataNode>> DataTree::writers() {
  Lock lock(mutex_);
  std::vector<std::shared_ptr<DataNode>> open;
  open.reserve(writers_.size());
  for (const auto& [node, handles] : writers_) open.push_back(node);
  return open;
}

bool DataTree::enter_past(const std::shared_ptr<DataNode>& node, bool writes) {
  Lock lock(mutex_);
  // What is known of it from before may not be so any more: a copy of the tree has come between.
  const bool is_held = held_files_.contains(node) || held_roots_.contains(node->place());
  if (is_held || node->is_retired() || !store_.may_bypass(node->file())) return false;
  OpenPast& open = past_daemon_[node];
  ++open.all;
  if (writes) ++open.writers;
  return true;
}

void DataTree::leave_past(const std::shared_ptr<DataNode>& node, bool writes) {
  Lock lock(mutex_);
  const auto found = past_daemon_.find(node);
  if (writes) --found->second.writers;
  if (--found->second.all == 0) past_daemon_.erase(found);
}

// A file or its workspace may have another name by now than when it was opened.
Result<Hold> DataTree::hold_back(const std::string& root) {
  Lock lock(mutex_);
  int count = 0;
  for (const auto& [node, open] : past_daemon_) {
    if (node->place() == root) count += open.all;
  }
  if (count > 0) {
    return fail(EBUSY,
                "{}: {} files are open past the daemon (-o passthrough); when they are closed, "
                "or mounted without it, it can be forked, or merged into",
                root, count);
  }
  const auto held = held_roots_.insert(root);
  return hold_until([tree = shared_from_this(), held] {
    Lock again(tree->mutex_);
    tree->held_roots_.erase(held);
  });
}

// Others who have it open are refused their next write; of these no write is seen.
Result<Hold> DataTree::hold_back(const std::shared_ptr<DataNode>& node) {
  Lock lock(mutex_);
  const auto found = past_daemon_.find(node);
  if (found != past_daemon_.end() && found->second.writers > 0) {
    return fail(EBUSY,
                "{}: is open for writing past the daemon (-o passthrough), and what is written "
                "there would be lost; when it is closed, or mounted without it, it can be replaced",
                node->path());
  }
  const auto held = held_files_.insert(node);
  // The node itself, too: it may be the last to hold it, and its end takes the mutex.
  return hold_until([tree = shared_from_this(), held, node] {
    Lock again(tree->mutex_);
    tree->held_files_.erase(held);
  });
}

void DataTree::follow_renamed(const Renamed& renamed) {
  if (renamed.is_directory) {
    services_.follow_temporaries(renamed.from, renamed.to, renamed.is_exchange);
  }
  for (const auto& node : writers()) {
    const std::string path = node->path();
    if (node->is_written_past()) bypassed_->rename(node.get(), path);
    std::set<std::shared_ptr<WriteKeeper>> keepers;  // descriptors past the daemon share one
    for (const auto& handle : handles(node)) {
      bypassed_->rename(handle.get(), path);
      if (renamed.is_directory) keepers.insert(handle->shared_keeper());
    }
    for (const auto& keeper : keepers) {
      keeper->follow(keeper_, renamed.from, renamed.to, renamed.is_exchange);
    }
  }
}

bool DataTree::is_open_for_writing(const std::shared_ptr<DataNode>& node) {
  Lock lock(mutex_);
  return writers_.contains(node);
}

bool DataTree::write_back(const std::shared_ptr<DataNode>& file) {
  const bool may_be_mapped = file->type() == S_IFREG && is_open_for_writing(file);
  return !may_be_mapped || !drop_bytes_ || drop_bytes_(file);
}

Status DataTree::tell_writes(const std::string& path) {
  for (const auto& node : writers()) {
    if (node->named_path() == path) TRY(tell_writes(node));
  }
  return ok();
}

std::vector<std::shared_ptr<DataHandle>> DataTree::handles(const std::shared_ptr<DataNode>& node) {
  std::vector<std::shared_ptr<DataHandle>> open;
  Lock lock(mutex_);
  const auto found = writers_.find(node);
  if (found == writers_.end()) return open;
  for (DataHandle* const writer : found->second) {
    if (auto alive = writer->alive()) open.push_back(std::move(alive));
  }
  return open;
}

Status DataTree::tell_writes(const std::shared_ptr<DataNode>& node) {
  for (const auto& writer : handles(node)) TRY(writer->account());
  return ok();
}

// The bytes are known to be of one state before any of them is in the target.
Result<std::size_t> DataHandle::copy_lent(Request& request, off_t from, DataHandle& target,
                                          off_t to, std::size_t count) {
  const auto bytes = read_lent(from, count);
  if (!bytes) {
    node_->tree().services().note_error(request.caller(), node_->path(), bytes.error());
    return std::unexpected(bytes.error());
  }
  DataGuard guard(request, target.node_->tree(), target.node_->region());
  TRY(target.attribute(request, guard));
  const std::size_t copied = TRY(target.put(request, to, bytes->text));
  guard.done();
  return copied;
}

// What is stored through a mapping has no place on the disk until it is written back: a copy that
// leaves out the holes would be without it. Where it cannot be had, there are none.
Result<off_t> DataHandle::seek(Request&, off_t offset, int whence) {
  const bool looks = whence == SEEK_DATA || whence == SEEK_HOLE;
  struct stat now{};
  if (looks && !bypassed_ && !node_->tree().write_back(node_) && ::fstat(descriptor(), &now) == 0 &&
      offset >= 0 && offset < now.st_size) {
    return whence == SEEK_DATA ? offset : now.st_size;
  }
  const off_t place = ::lseek(descriptor(), offset, whence);
  if (place < 0) return fail_errno("lseek");
  return place;
}

}  // namespace agentfs::vfs
