// SPDX-License-Identifier: MIT
#include "fs/vfs/quota_table.h"

#include <algorithm>
#include <set>

#include "base/log.h"
#include "base/text.h"
#include "fs/vfs/data_file.h"
#include "kernel/quota_subject.h"

namespace agentfs::vfs {
namespace {

constexpr std::chrono::seconds kPatience(5);  // of who reads `usage` or sets a limit
constexpr std::uint64_t kBlock = 512;         // bytes of st_blocks

std::uint64_t bytes_of(const struct stat& status) {
  return static_cast<std::uint64_t>(status.st_blocks) * kBlock;
}

FileKey key_of(const DataNode& node) { return {&node.tree(), node.file().inode()}; }

// What a snapshot or a state that is over has lies below no name.
bool is_below(const DataTree& tree, const std::string& path) {
  return path.starts_with(tree.path() + "/");
}

std::vector<std::string> names_in(DataNode& directory) {
  auto names = agentfs::names_in(directory.tree().store(), directory.file());
  if (names) return std::move(*names);
  const bool is_gone = names.error().code == ENOENT || names.error().code == ESTALE;
  if (!is_gone) {
    log::warning("{}: not counted: {}", directory.path(), names.error().message);
  }
  return {};
}

}  // namespace

std::unexpected<Error> no_room(const QuotaLedger::Refusal& why) {
  const std::string_view what = why.is_bytes ? "bytes" : "inodes";
  if (why.subject.starts_with('/')) {
    return fail(EDQUOT,
                "{}: holds {} of {} {}, and this would be more; removing files, or a larger limit "
                "in {}/.agentfs/limits, gives room",
                why.subject, why.held, why.limit, what, why.subject);
  }
  const uid_t user = subject_user(why.subject).value_or(0);
  return fail(EDQUOT,
              "user {}: holds {} of {} {}, and this would be more; removing files, or a larger "
              "limit in /sys/users/{}/limits, gives room",
              user, why.held, why.limit, what, user);
}

void QuotaTable::add(std::shared_ptr<DataTree> tree) { trees_.push_back(std::move(tree)); }

void QuotaTable::stop() {
  std::thread ended;
  {
    Lock lock(mutex_);
    stopping_ = true;
    std::swap(ended, thread_);
  }
  changed_.notify_all();
  if (ended.joinable()) ended.join();
}

void QuotaTable::reload(const QuotaLedger::Likeness& likeness) {
  const std::uint64_t number = ++reloads_;
  const Quotas limits = services_.quotas();
  if (limits.empty() && !is_active()) return;
  // Before the first count begins, which waits for those who have not seen it.
  if (!limits.empty()) active_ = true;
  for (const std::string& subject : ledger_.set_limits(limits, number, likeness)) {
    request(subject, false);
  }
}

void QuotaTable::recount(const std::string& subject, bool anew) {
  if (is_active() && (ledger_.has_users() || ledger_.state(subject))) request(subject, anew);
}

void QuotaTable::request(const std::string& subject, bool anew) {
  ledger_.begin_count(subject, anew);
  Lock lock(mutex_);
  if (stopping_ || std::ranges::find(jobs_, subject) != jobs_.end()) return;
  jobs_.push_back(subject);
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  changed_.notify_all();
}

bool QuotaTable::covers(const DataNode& node) {
  if (!is_active()) return false;
  if (ledger_.has_users()) return true;
  if (!ledger_.has_trees_below(node.tree().path())) return false;
  const std::string path = node.path();
  if (!is_below(node.tree(), path)) return ledger_.find(key_of(node)).has_value();
  return ledger_.state(std::string(text::first_parts(path, 2))).has_value();
}

// --- looking

void QuotaTable::look(DataNode& node, Why why) {
  const QuotaLedger::Look look = ledger_.begin_look(key_of(node));
  const auto status = node.status();
  if (!status) return ledger_.end_look(look);
  QuotaLedger::Seen seen{.bytes = bytes_of(*status), .uid = status->st_uid};
  if (status->st_nlink == 0) {
    return ledger_.end_look(look, seen, why != Why::changed, node.opens());
  }
  const std::string path = node.path();
  if (!is_below(node.tree(), path)) return ledger_.end_look(look);
  seen.tree = text::first_parts(path, 2);
  ledger_.end_look(look, seen, why == Why::made);
}

void QuotaTable::count_new(DataNode& node, std::string tree) {
  const QuotaLedger::Look look = ledger_.begin_look(key_of(node));
  const auto status = node.status();
  if (!status) return ledger_.end_look(look);
  ledger_.end_look(look, {bytes_of(*status), status->st_uid, std::move(tree)}, true);
}

void QuotaTable::look_at_bytes(DataNode& node) {
  const QuotaLedger::Look look = ledger_.begin_look(key_of(node));
  const auto status = node.status();
  if (!status) return ledger_.end_look(look);
  if (!ledger_.end_look(look, bytes_of(*status))) this->look(node, Why::changed);
}

void QuotaTable::closed(DataNode& node, bool written) {
  if (!is_active()) return;
  if (written) look(node, Why::changed);
  ledger_.closed(key_of(node), node.opens());
}

// --- changes under way

unsigned QuotaTable::enter() {
  for (;;) {
    const unsigned side = side_.load();
    inside_[side].fetch_add(1);
    if (side_.load() == side) return side;
    leave(side);
  }
}

void QuotaTable::leave(unsigned side) {
  if (inside_[side].fetch_sub(1) == 1) inside_[side].notify_all();
}

void QuotaTable::drain() {
  const unsigned before = side_.load();
  side_ = 1 - before;
  for (int left = inside_[before].load(); left != 0; left = inside_[before].load()) {
    inside_[before].wait(left);
  }
}

void QuotaTable::directory_moved(std::shared_ptr<DataNode> directory, std::uint64_t walk_before) {
  if (walk_before == 0) return;
  {
    Lock lock(mutex_);
    if (walking_ == walk_before) {
      moved_.push_back(std::move(directory));
      return;
    }
  }
  // That walk has ended, perhaps without it.
  for (const std::string& subject : ledger_.subjects()) recount(subject, false);
}

// --- walking

std::optional<std::string> QuotaTable::next_job() {
  Lock lock(mutex_);
  while (jobs_.empty() && !stopping_) changed_.wait(lock);
  if (stopping_) return std::nullopt;
  std::string subject = std::move(jobs_.front());
  jobs_.pop_front();
  return subject;
}

void QuotaTable::run() {
  while (const auto subject = next_job()) count(*subject);
}

void QuotaTable::count(const std::string& subject) {
  const std::uint64_t number = ledger_.begin_count(subject, false);
  if (number == 0) return;
  walking_ = ++walks_;
  drain();
  for (Directories next = roots_of(subject); !next.empty(); next = take_moved()) {
    walk(std::move(next));
  }
  look_at_nameless(subject);
  walking_ = 0;
  if (!stopped()) ledger_.end_count(subject, number);
}

QuotaTable::Directories QuotaTable::take_moved() {
  Lock lock(mutex_);
  if (moved_.empty() || stopping_) walking_ = 0;
  return std::exchange(moved_, {});
}

// A data root is nobody's, and is not counted itself.
QuotaTable::Directories QuotaTable::roots_of(const std::string& subject) {
  Directories roots;
  for (const auto& known : trees_) {
    const auto tree = known.lock();
    if (tree == nullptr) continue;
    if (subject_user(subject)) {
      roots.push_back(tree->ensure_directory(tree->store().root(), Region::plain));
      continue;
    }
    if (!is_below(*tree, subject)) continue;
    const auto root =
        tree->store().lookup(*tree->store().root(), std::string(text::last_part(subject)));
    if (root) roots.push_back(tree->ensure(*root, Region::plain));
  }
  return roots;
}

void QuotaTable::walk(Directories directories) {
  while (!directories.empty() && !stopped()) {
    const auto directory = std::move(directories.back());
    directories.pop_back();
    look(*directory, Why::changed);
    if (directory->type() == S_IFDIR) walk_one(*directory, directories);
  }
}

// What was made without a name is found by who has it open.
void QuotaTable::look_at_nameless(const std::string& subject) {
  for (const auto& known : trees_) {
    const auto tree = known.lock();
    if (tree == nullptr) continue;
    for (const auto& node : tree->writers()) {
      if (!node->is_nameless()) continue;
      std::string place = node->place();
      if (!subject_user(subject) && place != subject) continue;
      count_new(*node, std::move(place));
      look(*node, Why::removed);
    }
  }
}

void QuotaTable::walk_one(DataNode& directory, Directories& below) {
  DataTree& tree = directory.tree();
  for (const std::string& name : names_in(directory)) {
    if (stopped()) return;
    const auto entry = tree.store().lookup(directory.file(), name);
    if (!entry) continue;
    auto node = tree.ensure(*entry, region_of(directory.region(), name));
    if (node->type() == S_IFDIR) {
      below.push_back(std::move(node));
    } else {
      look(*node, Why::changed);
    }
  }
}

// --- what is held

Result<Holding> QuotaTable::holding(const std::string& subject) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  if (const auto state = ledger_.await(subject, deadline)) return state->held;
  return look_at_all(subject);
}

void QuotaTable::await(const std::string& subject) const {
  (void)ledger_.await(subject, std::chrono::steady_clock::now() + kPatience);
}

Holding QuotaTable::look_at_all(const std::string& subject) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  const auto user = subject_user(subject);
  Holding held;
  std::set<std::pair<const DataTree*, std::uint64_t>> linked;
  Directories directories = roots_of(subject);
  const auto see = [&](DataNode& node) {
    const auto status = node.status();
    if (!status || status->st_nlink == 0 || (user && status->st_uid != *user)) return;
    const bool is_linked = !S_ISDIR(status->st_mode) && status->st_nlink > 1;
    if (is_linked && !linked.emplace(&node.tree(), node.file().inode()).second) return;
    held.bytes += bytes_of(*status);
    ++held.inodes;
  };
  while (!directories.empty() && held.complete) {
    const auto directory = std::move(directories.back());
    directories.pop_back();
    if (is_below(directory->tree(), directory->path())) see(*directory);
    for (const std::string& name : names_in(*directory)) {
      const auto entry = directory->tree().store().lookup(directory->file(), name);
      if (!entry) continue;
      auto node = directory->tree().ensure(*entry, region_of(directory->region(), name));
      if (node->type() == S_IFDIR) {
        directories.push_back(std::move(node));
      } else {
        see(*node);
      }
    }
    held.complete = std::chrono::steady_clock::now() < deadline || directories.empty();
  }
  return held;
}

Result<Hold> QuotaTable::hold_room(const std::string& tree, const Growth& more) {
  if (!is_active()) return Hold();
  std::vector<Hold> holds{TRY(hold_room(tree, more.whole()))};
  for (const auto& [user, its] : more.users()) {
    holds.push_back(TRY(hold_room(user_subject(user), its)));
  }
  return std::make_shared<const std::vector<Hold>>(std::move(holds));
}

Result<Hold> QuotaTable::hold_room(const std::string& subject, const Growth::Amount& more) {
  auto state = is_active() ? ledger_.state(subject) : std::nullopt;
  if (state && !state->is_judged) {  // a limit that is new: what is held is counted just now
    state = ledger_.await(subject, std::chrono::steady_clock::now() + kPatience);
  }
  if (!state || !state->is_judged) return Hold();
  // What shrinks gives no room before it has.
  const Growth::Amount own{std::max<std::int64_t>(more.bytes, 0),
                           std::max<std::int64_t>(more.inodes, 0)};
  Growth::Amount all;
  {
    const Lock lock(mutex_);
    all = promised_[subject] += own;
  }
  Hold hold = hold_until([this, subject, own] {
    const Lock lock(mutex_);
    const auto its = promised_.find(subject);
    its->second += {-own.bytes, -own.inodes};
    if (its->second == Growth::Amount{}) promised_.erase(its);
  });
  const auto fits = [](std::uint64_t limit, std::uint64_t held, std::int64_t its,
                       std::int64_t promised) {
    return limit == 0 || its == 0 || held + static_cast<std::uint64_t>(promised) <= limit;
  };
  const Holding& held = state->held;
  if (!fits(state->limit.bytes, held.bytes, own.bytes, all.bytes)) {
    return no_room({subject, true, state->limit.bytes, held.bytes});
  }
  if (!fits(state->limit.inodes, held.inodes, own.inodes, all.inodes)) {
    return no_room({subject, false, state->limit.inodes, held.inodes});
  }
  return hold;
}

}  // namespace agentfs::vfs
