// SPDX-License-Identifier: MIT
#include "fs/vfs/quota_ledger.h"

#include <algorithm>

#include "kernel/quota_subject.h"

namespace agentfs::vfs {
struct QuotaLedger::Account {
  std::string subject{};
  Quota limit{};  // none: a tree that is known for what its users hold in it
  Holding counted{};
  Holding expected{};  // beside what was counted, while it is being counted
  bool is_expected = false;
  Growth reserved{};
  bool counting = true;
  std::uint64_t pass = 0;

  // Where nothing is known yet, nothing is judged.
  bool is_judged() const { return !counting || is_expected; }
  Holding held() const {
    return {counted.bytes + expected.bytes, counted.inodes + expected.inodes, !counting};
  }
  // It holds about as much as the other one; none: nothing is known.
  void expect(const Account* other) {
    is_expected = other != nullptr && other->is_judged();
    if (other == nullptr) return;
    const Holding all = other->held();
    expected = {all.bytes - std::min(all.bytes, counted.bytes),
                all.inodes - std::min(all.inodes, counted.inodes)};
  }
};

// --- limits

template <class Key>
void QuotaLedger::keep_only(const Quotas& limits, std::map<Key, std::shared_ptr<Account>>& accounts,
                            Accounts& gone) {
  const bool has_users = std::ranges::any_of(
      limits, [](const auto& limit) { return subject_user(limit.first).has_value(); });
  for (auto at = accounts.begin(); at != accounts.end();) {
    const bool is_set = limits.contains(at->second->subject);
    if (is_set || (has_users && !subject_user(at->second->subject))) {
      if (!is_set) at->second->limit = {};
      ++at;
      continue;
    }
    forget(*at->second, false);
    gone.push_back(std::move(at->second));
    at = accounts.erase(at);
  }
}

std::vector<std::string> QuotaLedger::set_limits(const Quotas& limits, std::uint64_t number,
                                                 const Likeness& likeness) {
  std::vector<std::string> added;
  Accounts gone;  // ends after the lock
  Lock lock(mutex_);
  if (number <= limits_) return added;
  limits_ = number;
  const auto like = find_account(likeness.from);
  keep_only(limits, trees_, gone);
  keep_only(limits, users_, gone);
  for (const auto& [subject, limit] : limits) {
    Account& account = ensure_account(subject);
    if (!std::exchange(account.limit, limit).is_set()) {
      account.counting = true;
      account.expect(like != nullptr && subject == likeness.subject ? like.get() : nullptr);
      added.push_back(subject);
    }
  }
  changed_.notify_all();
  return added;
}

std::vector<std::string> QuotaLedger::subjects() const {
  std::vector<std::string> all;
  Lock lock(mutex_);
  for (const auto& [subject, account] : trees_) {
    if (account->limit.is_set()) all.push_back(subject);
  }
  for (const auto& [uid, account] : users_) all.push_back(account->subject);
  return all;
}

// `with_users`: what their accounts have of it goes, too.
void QuotaLedger::forget(Account& account, bool with_users) {
  for (auto at = entries_.begin(); at != entries_.end();) {
    Entry& entry = at->second;
    if (entry.tree == &account) {
      entry.tree = nullptr;
      if (with_users) subtract(std::exchange(entry.user, nullptr), entry.bytes);
    }
    if (entry.user == &account) entry.user = nullptr;
    at = entry.tree == nullptr && entry.user == nullptr ? entries_.erase(at) : std::next(at);
  }
}

// --- counting

std::uint64_t QuotaLedger::begin_count(const std::string& subject, bool anew) {
  Lock lock(mutex_);
  if (!users_.empty() && !subject_user(subject)) ensure_account(subject);
  const auto account = find_account(subject);
  if (account == nullptr) return 0;
  account->is_expected = !anew && account->is_judged();
  if (anew) {
    if (account->counted.inodes != 0) forget(*account, true);
    account->counted = {};
    account->expected = {};
  }
  account->counting = true;
  account->pass = ++pass_;
  return account->pass;
}

void QuotaLedger::end_count(const std::string& subject, std::uint64_t count) {
  Lock lock(mutex_);
  const auto account = find_account(subject);
  if (account == nullptr || account->pass != count) return;
  const Account* const its = account.get();
  std::vector<FileKey> gone;
  for (const auto& [key, entry] : entries_) {
    const bool is_its = entry.tree == its || entry.user == its;
    if (is_its && entry.pass < its->pass && !entry.nameless) gone.push_back(key);
  }
  for (const FileKey& key : gone) take(key);
  account->expected = {};
  account->is_expected = false;
  account->counting = false;
  erase_if_idle(*account);
  changed_.notify_all();
}

std::optional<QuotaLedger::State> QuotaLedger::state_of(const std::string& subject) const {
  const auto account = find_account(subject);
  if (account == nullptr || !account->limit.is_set()) return std::nullopt;
  State state{account->limit, account->held(), account->is_judged()};
  // What a user holds is in trees: of one that is being counted anew some may be missing.
  const auto is_counted = [](const auto& tree) { return !tree.second->counting; };
  if (subject_user(subject)) state.held.complete &= std::ranges::all_of(trees_, is_counted);
  return state;
}

std::optional<QuotaLedger::State> QuotaLedger::state(const std::string& subject) const {
  Lock lock(mutex_);
  return state_of(subject);
}

std::optional<QuotaLedger::State> QuotaLedger::await(
    const std::string& subject, std::chrono::steady_clock::time_point deadline) const {
  Lock lock(mutex_);
  for (;;) {
    auto state = state_of(subject);
    if (!state || state->held.complete) return state;
    if (changed_.wait_until(lock, deadline) == std::cv_status::timeout) return state_of(subject);
  }
}

bool QuotaLedger::has_users() const {
  Lock lock(mutex_);
  return !users_.empty();
}

bool QuotaLedger::has_trees_below(const std::string& directory) const {
  Lock lock(mutex_);
  const auto first = trees_.lower_bound(directory + "/");
  return first != trees_.end() && first->first.starts_with(directory + "/");
}

std::shared_ptr<QuotaLedger::Account> QuotaLedger::find_tree(const std::string& subject) const {
  const auto found = trees_.find(subject);
  return found == trees_.end() ? nullptr : found->second;
}

QuotaLedger::Account& QuotaLedger::ensure_account(const std::string& subject) {
  const auto user = subject_user(subject);
  std::shared_ptr<Account>& account = user ? users_[*user] : trees_[subject];
  if (account == nullptr) {
    account = std::make_shared<Account>();
    account->subject = subject;
  }
  return *account;
}

// Of a tree without a limit, what counts for a user is known by the tree: when all of that becomes
// another at once, the user's holding follows.
QuotaLedger::Account* QuotaLedger::tree_of(const Seen& seen, const Account* user) {
  if (seen.tree.empty()) return nullptr;
  const auto known = find_tree(seen.tree);
  if (known != nullptr && known->limit.is_set()) return known.get();
  if (user == nullptr) return nullptr;
  Account& tree = ensure_account(seen.tree);
  if (known == nullptr) tree.counting = false;
  return &tree;
}

std::shared_ptr<QuotaLedger::Account> QuotaLedger::find_user(uid_t uid) const {
  const auto found = users_.find(uid);
  return found == users_.end() ? nullptr : found->second;
}

std::shared_ptr<QuotaLedger::Account> QuotaLedger::find_account(const std::string& subject) const {
  const auto user = subject_user(subject);
  return user ? find_user(*user) : find_tree(subject);
}

// --- looking at files

QuotaLedger::Look QuotaLedger::begin_look(const FileKey& key) {
  Lock lock(mutex_);
  ++flights_[key].count;
  return {key, next_look_++};
}

// Whether what it found is newer than what is known.
bool QuotaLedger::land(const Look& look, bool found) {
  const auto at = flights_.find(look.key);
  const bool is_newest = found && look.number > at->second.applied;
  if (is_newest) at->second.applied = look.number;
  if (--at->second.count == 0) flights_.erase(at);
  return is_newest;
}

void QuotaLedger::end_look(const Look& look) {
  Lock lock(mutex_);
  land(look, false);
}

bool QuotaLedger::end_look(const Look& look, std::uint64_t bytes) {
  Lock lock(mutex_);
  const auto known = entries_.find(look.key);
  if (!land(look, known != entries_.end())) return known != entries_.end();
  Entry entry = known->second;
  entry.bytes = bytes;
  entry.pass = pass_;
  put(look.key, entry, false);
  return true;
}

void QuotaLedger::end_look(const Look& look, const Seen& seen, bool fresh) {
  Lock lock(mutex_);
  if (!land(look, true)) return;
  Account* const user = find_user(seen.uid).get();
  const Entry entry{.bytes = seen.bytes,
                    .tree = tree_of(seen, user),
                    .user = user,
                    .pass = pass_,
                    .uid = seen.uid};
  put(look.key, entry, fresh);
}

void QuotaLedger::end_look(const Look& look, const Seen& seen, bool removed,
                           const std::atomic<int>& opens) {
  Lock lock(mutex_);
  if (!land(look, true)) return;
  const auto known = entries_.find(look.key);
  // One that is not known to have lost its name is another's, of a state that is over.
  if (known == entries_.end() || (!removed && !known->second.nameless)) return;
  if (opens.load() == 0) return take(look.key);
  Entry entry = known->second;
  entry.bytes = seen.bytes;
  entry.uid = seen.uid;
  entry.user = find_user(seen.uid).get();
  entry.pass = pass_;
  entry.nameless = true;
  put(look.key, entry, false);
}

void QuotaLedger::closed(const FileKey& key, const std::atomic<int>& opens) {
  Lock lock(mutex_);
  const auto known = entries_.find(key);
  if (known != entries_.end() && known->second.nameless && opens.load() == 0) take(key);
}

std::optional<QuotaLedger::Seen> QuotaLedger::find(const FileKey& key) const {
  Lock lock(mutex_);
  const auto known = entries_.find(key);
  if (known == entries_.end()) return std::nullopt;
  const Entry& entry = known->second;
  return Seen{entry.bytes, entry.uid, entry.tree != nullptr ? entry.tree->subject : std::string()};
}

// What is counted for the first time was expected before, unless it is fresh, or another's.
void QuotaLedger::add(Account* account, std::uint64_t bytes, bool fresh) {
  if (account == nullptr) return;
  account->counted.bytes += bytes;
  ++account->counted.inodes;
  if (fresh) return;
  account->expected.bytes -= std::min(account->expected.bytes, bytes);
  account->expected.inodes -= std::min<std::uint64_t>(account->expected.inodes, 1);
}

void QuotaLedger::subtract(Account* account, std::uint64_t bytes) {
  if (account == nullptr) return;
  account->counted.bytes -= bytes;
  --account->counted.inodes;
}

void QuotaLedger::erase_if_idle(const Account& account) {
  if (account.limit.is_set() || account.counting || account.counted.inodes != 0) return;
  trees_.erase(std::string(account.subject));
}

void QuotaLedger::put(const FileKey& key, const Entry& entry, bool fresh) {
  const auto known = entries_.find(key);
  if (entry.tree == nullptr && entry.user == nullptr) {
    if (known != entries_.end()) take(key);
    return;
  }
  if (known == entries_.end()) {
    entries_.emplace(key, entry);
    add(entry.tree, entry.bytes, fresh);
    add(entry.user, entry.bytes, fresh);
    return;
  }
  const Entry before = std::exchange(known->second, entry);
  subtract(before.tree, before.bytes);
  subtract(before.user, before.bytes);
  add(entry.tree, entry.bytes, fresh || before.tree != nullptr);
  add(entry.user, entry.bytes, fresh || before.user != nullptr);
  if (before.tree != nullptr) erase_if_idle(*before.tree);
}

void QuotaLedger::take(const FileKey& key) {
  const auto known = entries_.find(key);
  if (known == entries_.end()) return;
  const Entry entry = known->second;
  entries_.erase(known);
  subtract(entry.tree, entry.bytes);
  subtract(entry.user, entry.bytes);
  if (entry.tree != nullptr) erase_if_idle(*entry.tree);
}

// --- room

QuotaLedger::Room QuotaLedger::reserve(const Payers& payers, Growth growth, Reservation& into,
                                       Refusal& refusal) {
  Lock lock(mutex_);
  const Accounts accounts{payers.tree.empty() ? nullptr : find_tree(payers.tree),
                          payers.user ? find_user(*payers.user) : nullptr};
  return reserve(accounts, growth, into, refusal, lock);
}

QuotaLedger::Room QuotaLedger::reserve(const FileKey& file, Growth growth, Reservation& into,
                                       Refusal& refusal) {
  Lock lock(mutex_);
  const auto known = entries_.find(file);
  if (known == entries_.end()) return Room::reserved;
  const Entry& entry = known->second;
  const Accounts accounts{entry.tree != nullptr ? find_tree(entry.tree->subject) : nullptr,
                          entry.user != nullptr ? find_user(entry.uid) : nullptr};
  return reserve(accounts, growth, into, refusal, lock);
}

QuotaLedger::Room QuotaLedger::reserve(const Accounts& payers, Growth growth, Reservation& into,
                                       Refusal& refusal, Lock<Rank::store>& lock) {
  bool crowded = false;
  for (const auto& payer : payers) {
    if (payer == nullptr || !payer->is_judged()) continue;
    const Holding held = payer->held();
    const auto judge = [&](bool is_bytes, std::uint64_t more, std::uint64_t limit,
                           std::uint64_t has, std::uint64_t reserved) {
      if (more == 0 || limit == 0 || has + reserved + more <= limit) return true;
      crowded = crowded || has + more <= limit;
      refusal = {payer->subject, is_bytes, limit, has};
      return has + more <= limit;
    };
    const Quota& limit = payer->limit;
    const std::uint64_t more = growth.bytes + (growth.is_name && held.bytes > limit.bytes ? 1 : 0);
    if (!judge(true, more, limit.bytes, held.bytes, payer->reserved.bytes) ||
        !judge(false, growth.inodes, limit.inodes, held.inodes, payer->reserved.inodes)) {
      return Room::refused;
    }
  }
  if (crowded) {
    const bool is_late = changed_.wait_for(lock, kLongestWait) == std::cv_status::timeout;
    return is_late ? Room::refused : Room::again;
  }
  for (const auto& payer : payers) {
    if (payer == nullptr) continue;
    payer->reserved.bytes += growth.bytes;
    payer->reserved.inodes += growth.inodes;
    into.parts.push_back({payer, growth});
  }
  return Room::reserved;
}

void QuotaLedger::give_back(const Reservation& reservation) {
  if (reservation.parts.empty()) return;
  Lock lock(mutex_);
  for (const auto& [account, growth] : reservation.parts) {
    account->reserved.bytes -= growth.bytes;
    account->reserved.inodes -= growth.inodes;
  }
  changed_.notify_all();
}

}  // namespace agentfs::vfs
