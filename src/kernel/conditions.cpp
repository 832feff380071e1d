// SPDX-License-Identifier: MIT
#include "kernel/conditions.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/file.h"
#include "base/text.h"

namespace agentfs {

// Field 22 of /proc/<pid>/stat, which threads have too, counted from after the command, which may
// hold anything.
std::uint64_t Conditions::start_of(pid_t pid) {
  const auto stat = file::read(fmt::format("/proc/{}/stat", pid));
  if (!stat) return 0;
  const auto close = stat->rfind(')');
  if (close == std::string::npos) return 0;
  const auto fields = text::words(std::string_view(*stat).substr(close + 1));
  constexpr std::size_t kStarted = 19;
  return fields.size() <= kStarted ? 0 : text::number<std::uint64_t>(fields[kStarted]).value_or(0);
}

const Conditions::Claim* Conditions::claim_on(const std::string& path, std::uint64_t generation,
                                              const Owner& by) const {
  const auto [begin, end] = claimed_.equal_range(path);
  for (auto each = begin; each != end; ++each) {
    const Claim& claim = claims_.at(each->second);
    const bool counts = claim.met.generation == generation || claim.goes_on;
    if (counts && claim.owner != by && lives(claim.owner)) return &claim;
  }
  return nullptr;
}

// One may have set many: it is asked for once.
void Conditions::drop_dead() {
  until_look_ = 256;
  std::map<pid_t, std::uint64_t> known;
  const auto has_ended = [&](pid_t pid, std::uint64_t started) {
    const auto [found, is_new] = known.try_emplace(pid);
    if (is_new) found->second = start_of(pid);
    return started == 0 || found->second != started;
  };
  for (auto& [key, waiting] : all_) {
    std::erase_if(waiting,
                  [&](const Condition& each) { return has_ended(each.thread, each.started); });
  }
  std::erase_if(all_, [](const auto& one) { return one.second.empty(); });
  for (auto each = claims_.begin(); each != claims_.end();) {
    const auto claim = each++;
    const Owner& owner = claim->second.owner;
    if (has_ended(owner.pid, owner.started)) drop(claim);
  }
  most_claims_ = std::max(kMost, 2 * claims_.size());
  count_ = all_.size();
}

// What has been published in the path's place ends those that do not go on: they are of a
// generation that is over.
ClaimNumber Conditions::add(Claim claim) {
  const auto [begin, end] = claimed_.equal_range(claim.path);
  for (auto each = begin; each != end;) {
    const auto old = claims_.find((each++)->second);
    if (!old->second.goes_on) drop(old);
  }
  if (claims_.size() >= most_claims_) drop_dead();
  claimed_.emplace(claim.path, ++last_);
  claims_.emplace(last_, std::move(claim));
  claim_count_ = claims_.size();
  return ClaimNumber{last_};
}

void Conditions::forget_path(Claims::iterator claim) {
  const auto [begin, end] = claimed_.equal_range(claim->second.path);
  claimed_.erase(
      std::find_if(begin, end, [&](const auto& one) { return one.second == claim->first; }));
}

void Conditions::drop(Claims::iterator claim) {
  forget_path(claim);
  claims_.erase(claim);
  claim_count_ = claims_.size();
}

Status Conditions::set(const HostCaller& host, const std::string& path, const Wanted& wanted,
                       const Look& look) {
  const Owner owner{host.pid, start_of(host.pid), wanted.thread};
  const std::uint64_t started = start_of(wanted.thread);
  if (owner.started == 0 || started == 0) {
    return fail(ENOTSUP,
                "{}: when thread {} of the host began cannot be read in /proc, so that a condition "
                "of it would not be kept; a mount of its own user's, or of root's, would do",
                path, wanted.thread);
  }
  Lock lock(mutex_);
  const std::uint64_t now = look();
  if (now != wanted.generation) {
    return fail(ESTALE, "{}: has generation {}, not {}; what it holds now can be read", path, now,
                wanted.generation);
  }
  if (const Claim* const claim = claim_on(path, now, owner)) {
    return fail(ESTALE, "{}: is being published on generation {} by process {} of the host", path,
                now, claim->owner.pid);
  }
  if (all_.size() >= kMost) drop_dead();
  if (all_.size() >= kMost) {
    return fail(EAGAIN, "{}: {} conditions wait for their processes; fewer at a time would do",
                path, kMost);
  }
  auto& own = all_[{host.pid, path}];
  std::erase_if(own, [&](const Condition& one) { return one.thread == wanted.thread; });
  if (own.size() >= kMostOfOne) own.pop_front();  // of a thread that has ended, perhaps
  own.push_back({.generation = now, .thread = wanted.thread, .started = started});
  count_ = all_.size();
  return ok();
}

std::string Conditions::why_not(const std::string& path, const Condition& condition,
                                const Owner& owner, const Look& look) const {
  const std::uint64_t now = look();
  if (now == condition.generation && claim_on(path, now, owner) == nullptr) return {};
  return fmt::format("{}: was changed since it had generation {}; nothing has been published", path,
                     condition.generation);
}

bool Conditions::awaits(const HostCaller& host, const std::string& path) const {
  Lock lock(mutex_);
  return all_.contains({host.pid, path});
}

// Who has ended publishes no more: what it has set would refuse what others write, each time one.
std::optional<Conditions::Condition> Conditions::take(const Key& key, pid_t thread) {
  const auto found = all_.find(key);
  if (found == all_.end()) return std::nullopt;
  std::deque<Condition>& waiting = found->second;
  std::optional<Condition> taken;
  while (!taken && !waiting.empty()) {
    auto next = std::ranges::find(waiting, thread, &Condition::thread);
    if (next == waiting.end()) next = waiting.begin();
    if (lives(*next)) taken = std::move(*next);
    waiting.erase(next);
  }
  if (waiting.empty()) all_.erase(found);
  count_ = all_.size();
  return taken;
}

Result<ClaimNumber> Conditions::meet(const HostCaller& host, const std::string& path,
                                     const Publishing& how, const Look& look) {
  Lock lock(mutex_);
  if (--until_look_ == 0) drop_dead();
  std::optional<Condition> condition = take({host.pid, path}, how.thread);
  if (!condition) return ClaimNumber::none;
  const Owner owner{host.pid, start_of(host.pid), how.thread};
  if (!condition->failure.empty()) return fail(ESTALE, "{}", condition->failure);
  condition->failure = how.exists ? why_not(path, *condition, owner, look)
                                  : fmt::format("{}: was removed since it had generation {}", path,
                                                condition->generation);
  if (!condition->failure.empty()) {
    if (how.is_asked_again) all_[{host.pid, path}].push_front(*condition);
    count_ = all_.size();
    return fail(ESTALE, "{}", condition->failure);
  }
  return add({path, owner, *std::move(condition), how.goes_on});
}

// It waits for the next publishing again.
void Conditions::release(ClaimNumber number) {
  Lock lock(mutex_);
  const auto claim = claims_.find(static_cast<std::uint64_t>(number));
  if (claim == claims_.end()) return;
  const Claim was = claim->second;
  drop(claim);
  all_[{was.owner.pid, was.path}].push_front(was.met);
  count_ = all_.size();
}

void Conditions::end(ClaimNumber number) {
  Lock lock(mutex_);
  const auto claim = claims_.find(static_cast<std::uint64_t>(number));
  if (claim != claims_.end()) drop(claim);
}

void Conditions::follow(const std::string& path, const std::string& to, bool exchanged) {
  const auto now = [&](const std::string& old) {
    if (text::is_below(old, path)) return to + old.substr(path.size());
    return exchanged && text::is_below(old, to) ? path + old.substr(to.size()) : old;
  };
  Lock lock(mutex_);
  std::map<Key, std::deque<Condition>> all;
  for (auto& [key, own] : std::exchange(all_, {})) {
    auto& there = all[{key.first, now(key.second)}];
    std::ranges::move(own, std::back_inserter(there));
  }
  all_ = std::move(all);
  claimed_.clear();
  for (auto& [number, claim] : claims_) {
    claim.path = now(claim.path);
    claimed_.emplace(claim.path, number);
  }
}

std::vector<Conditions::Claims::iterator> Conditions::going_on(const std::string& path) {
  std::vector<Claims::iterator> found;
  const auto [begin, end] = claimed_.equal_range(path);
  for (auto each = begin; each != end; ++each) {
    const auto claim = claims_.find(each->second);
    if (claim->second.goes_on) found.push_back(claim);
  }
  return found;
}

void Conditions::move(Claims::iterator claim, const std::string& to) {
  forget_path(claim);
  claimed_.emplace(to, claim->first);
  claim->second.path = to;
}

void Conditions::follow_file(const std::string& path, const std::string& to, bool exchanged) {
  Lock lock(mutex_);
  const auto own = going_on(path);
  for (const auto other : going_on(to)) {
    exchanged ? move(other, path) : drop(other);
  }
  for (const auto claim : own) move(claim, to);
}

void Conditions::forget(const std::string& path) {
  Lock lock(mutex_);
  std::vector<Claims::iterator> gone = going_on(path);
  const auto end = claimed_.lower_bound(path + "0");  // '0' comes after '/'
  for (auto each = claimed_.lower_bound(path + "/"); each != end; ++each) {
    const auto claim = claims_.find(each->second);
    if (claim->second.goes_on) gone.push_back(claim);
  }
  for (const auto claim : gone) drop(claim);
}

}  // namespace agentfs
