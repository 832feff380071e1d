// SPDX-License-Identifier: MIT
#include "backends/trees/forest_ahead.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "backends/trees/forest_store.h"

namespace agentfs::trees {
namespace {

constexpr off_t kLarge = off_t{1} << 20U;  // less is copied in a millisecond

struct AheadJob {
  AheadCopies::Key key{};
  UniqueFd from{};
  UniqueFd to{};
  struct stat attributes{};
};

// Nothing where there is nothing to be copied, or no way to do it so. Under the store's lock.
std::optional<AheadJob> job_of(ForestDisk& disk, const ForestNode& node) {
  const std::shared_ptr<Line>& line = node.tree->line;
  if (node.prepared() || node.tree->refusal != 0 || !line) return std::nullopt;
  const auto file = disk.borrow(node);
  AheadJob job;
  if (!file || ::fstat(file->get(), &job.attributes) != 0) return std::nullopt;
  const bool is_large = job.attributes.st_size >= kLarge && !disk.marks().lends(file->get());
  if (!is_large || !disk.is_to_be_unshared(node, job.attributes.st_nlink)) return std::nullopt;
  job.key = AheadCopies::key_of(node);
  job.from = UniqueFd(::fcntl(file->get(), F_DUPFD_CLOEXEC, 0));
  const std::string room = Spot::of(line->directory()).path;
  job.to = UniqueFd(::open(room.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  return job.from && job.to ? std::optional(std::move(job)) : std::nullopt;
}

}  // namespace

AheadCopies::Turn::~Turn() {
  if (all_ == nullptr) return;
  Copy unused;  // closed after the lock
  {
    const Lock lock(all_->mutex_);
    const auto found = all_->copies_.find(key_);
    unused = std::move(found->second);
    all_->copies_.erase(found);
    all_->at_work_ = all_->copies_.size();
  }
  all_->ended_.notify_all();
}

AheadCopies::Turn AheadCopies::begin(const Key& key) {
  Lock lock(mutex_);
  while (!copies_.try_emplace(key).second) ended_.wait(lock);
  at_work_ = copies_.size();
  return {*this, key};
}

void AheadCopies::put(const Turn& turn, Copy copy) {
  const Lock lock(mutex_);
  copies_.at(turn.key()) = std::move(copy);
}

AheadCopies::Copy AheadCopies::take(const Key& key) {
  const Lock lock(mutex_);
  const auto found = copies_.find(key);
  return found == copies_.end() ? Copy() : std::exchange(found->second, Copy());
}

std::optional<struct stat> AheadCopies::shown(ino_t lent) const {
  if (at_work_ == 0) return std::nullopt;
  const Lock lock(mutex_);
  const auto found = copies_.find(Key{.inode = lent});
  return found == copies_.end() ? std::nullopt : found->second.was;
}

void AheadCopies::set_times(ino_t lent, const struct stat& now) {
  if (at_work_ == 0) return;
  const Lock lock(mutex_);
  const auto found = copies_.find(Key{.inode = lent});
  if (found == copies_.end() || !found->second.was) return;
  found->second.was->st_atim = now.st_atim;
  found->second.was->st_mtim = now.st_mtim;
}

std::unique_lock<SharedMutex<Rank::forest>> ForestStore::alone_with(
    std::initializer_list<ForestNode*> nodes) {
  for (;;) {
    std::unique_lock alone(mutex_);
    const Until until = std::chrono::steady_clock::now() + f_->part();
    if (std::ranges::all_of(nodes, [&](auto* node) { return f_->make_ready(*node, until); })) {
      return alone;
    }
  }
}

// Where it fails, whoever has the lock tries, and tells.
AheadCopies::Turn ForestStore::copy_ahead(const ForestNode& node) {
  const auto look = [&] {
    const std::shared_lock together(mutex_);
    return job_of(*f_, node);
  };
  auto job = node.type() == S_IFREG ? look() : std::nullopt;
  if (!job) return {};
  auto turn = f_->ahead().begin(job->key);
  job = look();  // who had the turn before may have done it
  if (!job || job->key != turn.key()) return turn;
  const auto copied = copy_content(job->from.get(), job->to.get(), job->attributes);
  if (copied) f_->ahead().put(turn, {std::move(job->to), *copied});
  return turn;
}

}  // namespace agentfs::trees
