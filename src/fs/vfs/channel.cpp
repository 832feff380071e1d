// SPDX-License-Identifier: MIT
#include "fs/vfs/channel.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "base/waiting.h"
#include "fs/vfs/data_file.h"

namespace agentfs::vfs {
namespace {

// A file that is open costs a descriptor, and another one when it loses its name; an eighth, and
// what a daemon without any files has, is for its own work.
std::size_t most_open_files() {
  constexpr rlim_t kOwn = 128;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return SIZE_MAX;
  const rlim_t rest = limit.rlim_cur - limit.rlim_cur / 8;
  return std::max(rest / 2, rest - std::min(rest, kOwn)) / 2;
}

}  // namespace

Channel::Channel(NodeRef root) : nodes_(std::move(root)), most_open_(most_open_files()) {}

std::uint64_t Channel::remember(const NodeRef& node) {
  const std::uint64_t id = nodes_.remember(node);
  if (most_nodes_ != 0 && nodes_.size() > most_nodes_) make_room();
  return id;
}

// What is in use is not forgotten: it is not asked for at every look, and where some have waited in
// vain nobody waits for a second. What prune() expires goes only as paths are walked again, after
// some more looks.
void Channel::make_room() {
  constexpr std::chrono::milliseconds kPause(20);
  constexpr int kMostPauses = 5;
  constexpr int kMostInVain = 6;
  const auto now = [] { return std::chrono::steady_clock::now().time_since_epoch().count(); };
  const auto ask = [&] {
    const std::int64_t begun = now();
    std::int64_t last = pruned_;
    const bool is_due = begun - last >= std::chrono::nanoseconds(kPause).count();
    if (is_due && pruned_.compare_exchange_strong(last, begun)) when_crowded_();
  };
  ask();
  const std::size_t most = most_nodes_ * 2;
  if (most == 0 || nodes_.size() <= most || now() < waits_from_) return;
  about_to_wait();
  for (int i = 0; i < kMostPauses; ++i) {
    if (nodes_.wait_for_fewer(most, kPause)) {
      in_vain_ = 0;
      return;
    }
    ask();
  }
  if (++in_vain_ < kMostInVain) return;
  in_vain_ = 0;
  waits_from_ = now() + std::chrono::nanoseconds(std::chrono::seconds(1)).count();
}

void Channel::limit_nodes(std::size_t most, std::function<void()> when_crowded) {
  when_crowded_ = std::move(when_crowded);
  most_nodes_ = most;
}

// Those that were first known come first, so that what is below a directory goes in the next round.
// A directory in which a name was missed does not go, since the host's kernel has that name, which
// is not known here: where pruning has not helped, all that is not in use goes.
void Channel::prune() {
  const auto to = invalidator();
  const std::size_t most = most_nodes_;
  const std::size_t size = nodes_.size();
  const std::size_t before = crowd_.exchange(size > most ? size : 0);
  if (to == nullptr || size <= most) return;
  if (!to->prune(nodes_.next(size - most / 2))) {
    most_nodes_ = 0;
  } else if (before != 0 && size >= before && size > most + most / 2) {
    to->expire_all();
  }
}

// A directory that is held becomes the one in its place when it is asked for, or is left.
std::vector<NodeRef> Channel::left_behind(const std::vector<std::uint64_t>& ids) {
  std::vector<NodeRef> left;
  for (const std::uint64_t id : ids) {
    const auto node = std::dynamic_pointer_cast<DataNode>(nodes_.get(id).value_or(nullptr));
    if (node == nullptr) continue;
    if (!node->named_path().empty()) continue;
    if (node->is_retired() || node->tree().store().is_over(node->file())) left.push_back(node);
  }
  return left;
}

std::uint64_t Channel::keep(std::shared_ptr<Handle> handle, Opener opener) {
  return handles_.keep(std::move(handle), opener);
}

// Others than root and who has mounted leave these a quarter.
Status Channel::may_open(Opener opener) {
  const bool is_ruler = opener.uid == 0 || opener.uid == ::geteuid();
  if (handles_.size() >= (is_ruler ? most_open_ : most_open_ - most_open_ / 4)) {
    return fail(
        ENFILE,
        "{} files are open here, as many as the daemon's limit of open files allows{}; once "
        "some are closed, or mounted with a higher `ulimit -n`, it can be opened",
        handles_.size(), is_ruler ? "" : " others than root and who has mounted");
  }
  const std::size_t most = is_ruler ? most_open_ : most_open_ / 2;
  if (!is_ruler && handles_.size(opener.uid) >= most) {
    return fail(ENFILE,
                "uid {} has {} files open here, as many as one user may; once some are closed, or "
                "mounted with a higher `ulimit -n`, it can be opened",
                opener.uid, most);
  }
  if (handles_.size_of_process(opener.process) < most - most / 4) return ok();
  return fail(EMFILE,
              "process {} has {} files open here, as many as one may; once it has closed some it "
              "can open others",
              opener.process, most - most / 4);
}

void Channel::set_invalidator(std::shared_ptr<Invalidator> invalidator) {
  Lock lock(mutex_);
  invalidator_.swap(invalidator);  // the one of before goes when the lock has been given back
}

std::shared_ptr<Invalidator> Channel::invalidator() {
  Lock lock(mutex_);
  return invalidator_;
}

void Channel::close() {
  for (const auto& handle : handles_.clear()) handle->abandon();
  nodes_.clear();
}

}  // namespace agentfs::vfs
