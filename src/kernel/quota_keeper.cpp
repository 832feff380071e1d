// SPDX-License-Identifier: MIT
#include "kernel/quota_keeper.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <set>

#include "backends/merge.h"
#include "base/blocks.h"
#include "base/text.h"
#include "base/users.h"
#include "kernel/kernel.h"
#include "kernel/kinds.h"
#include "kernel/quota_subject.h"
#include "kernel/tree_change.h"
#include "kernel/tree_path.h"

namespace agentfs {
namespace {

constexpr std::string_view kUnlimited = "unlimited";
constexpr std::uint64_t kMost = std::uint64_t{1} << 62U;  // the journal's numbers have a sign

std::string shown_limit(std::uint64_t limit) {
  return limit == 0 ? std::string(kUnlimited) : std::to_string(limit);
}

// "10G", "10g", "512MiB", "4096": powers of 1024.
std::optional<std::uint64_t> parse_size(std::string_view word) {
  constexpr std::string_view kUnits = "KMGTP";
  for (const std::string_view ending : {"iB", "B"}) {
    if (!word.ends_with(ending)) continue;
    word.remove_suffix(ending.size());
    break;
  }
  unsigned shift = 0;
  if (!word.empty()) {
    const auto last = static_cast<unsigned char>(word.back());
    const auto unit = kUnits.find(static_cast<char>(std::toupper(last)));
    if (unit != std::string_view::npos) {
      shift = 10 * (static_cast<unsigned>(unit) + 1);
      word.remove_suffix(1);
    }
  }
  const auto number = text::number<std::uint64_t>(word);
  if (!number || *number > (kMost >> shift)) return std::nullopt;
  return *number << shift;
}

std::optional<std::uint64_t> parse_count(std::string_view word) {
  const auto number = text::number<std::uint64_t>(word);
  return number && *number <= kMost ? number : std::nullopt;
}

Status parse_pair(std::string_view name, std::string_view value, Quota& quota) {
  const bool is_bytes = name == "bytes";
  if (!is_bytes && name != "inodes") {
    return fail(EINVAL,
                "limits: not a limit ({}); bytes=SIZE and inodes=NUMBER are, or unlimited{}",
                text::shown(name), text::did_you_mean(name, {"bytes", "inodes"}));
  }
  const auto number = value == kUnlimited ? std::optional<std::uint64_t>(0)
                      : is_bytes          ? parse_size(value)
                                          : parse_count(value);
  if (!number) {
    return fail(
        EINVAL, "limits: {} cannot be {}; {}, or unlimited would do", name, text::shown(value),
        is_bytes ? "a size such as 4096 or 10G (K to P: powers of 1024)" : "a number from 1");
  }
  if (*number == 0 && value != kUnlimited) {
    return fail(EINVAL,
                "limits: {} cannot be 0, which would leave no room for anything; unlimited "
                "ends a limit",
                name);
  }
  (is_bytes ? quota.bytes : quota.inodes) = *number;
  return ok();
}

std::string shown_subject(const std::string& subject) {
  const auto uid = subject_user(subject);
  return uid ? fmt::format("user {}", *uid) : text::shown(subject);
}

}  // namespace

std::string show(const Quota& quota) {
  return fmt::format("bytes {}\ninodes {}\n", shown_limit(quota.bytes), shown_limit(quota.inodes));
}

Result<Quota> parse_quota(std::string_view text, const Quota& others) {
  Quota quota = others;
  std::set<std::string> named;
  for (const std::string_view commented : text::lines(text)) {
    std::string line(commented.substr(0, commented.find('#')));
    std::ranges::replace(line, '=', ' ');
    const auto words = text::words(line);
    if (words.size() == 1 && words[0] == kUnlimited) {
      quota = {};
      continue;
    }
    for (std::size_t i = 0; i < words.size(); i += 2) {
      const std::string name(words[i]);
      TRY(parse_pair(name, i + 1 < words.size() ? words[i + 1] : std::string_view(), quota));
      if (named.insert(name).second) continue;
      return fail(EINVAL, "limits: {} is there twice; one of them would do", name);
    }
  }
  return quota;
}

namespace {

// As attributes are merged: what is new is theirs', what was there stays its owner's, unless theirs
// has given it away.
uid_t owner_after(const MergeAction& action, const struct stat& base, const struct stat& ours,
                  const struct stat& theirs) {
  if (!action.ours.exists() || action.ours.type() != action.theirs.type()) return theirs.st_uid;
  return action.attributes && base.st_uid == ours.st_uid ? theirs.st_uid : ours.st_uid;
}

}  // namespace

Growth growth_of(const MergePlan& plan, const MergeSides& sides) {
  Growth growth;
  std::map<ino_t, nlink_t> gone;  // of ours: names
  const struct stat nothing{};
  const auto look = [&](const TreeSide& side, const std::string& path) {
    const auto entry =
        path.empty() ? fail(ENOENT, "nothing") : find_in_tree(*side.store, side.root, path);
    return entry ? entry->attributes : nothing;
  };
  for (const MergeAction& action : plan.actions) {
    const bool makes =
        action.kind == MergeAction::Kind::write || action.kind == MergeAction::Kind::make_directory;
    const bool removes = action.kind == MergeAction::Kind::remove ||
                         action.kind == MergeAction::Kind::remove_directory;
    const bool gives = !makes && !removes && action.attributes;
    if (!makes && !removes && !gives) continue;
    const struct stat ours = look(sides.ours, action.ours_path);
    if (!removes) {
      const struct stat theirs = look(sides.theirs, action.theirs_path);
      struct stat after = gives || (makes && action.merged) ? ours : theirs;
      after.st_uid = owner_after(action, look(sides.base, action.base_path), ours, theirs);
      if (gives && after.st_uid == ours.st_uid) continue;
      // A merged text has not been made yet: about what ours has.
      growth.add(after);
    }
    if (!action.ours.exists()) continue;
    if (!S_ISDIR(ours.st_mode) && ++gone[ours.st_ino] < ours.st_nlink) continue;
    growth.subtract(ours);
  }
  return growth;
}

Quota QuotaKeeper::of(const std::string& subject) const {
  const Quotas all = kernel_.quotas();
  const auto found = all.find(subject);
  return found == all.end() ? Quota{} : found->second;
}

std::vector<uid_t> QuotaKeeper::users() const {
  std::set<uid_t> all;
  for (const ProcessId pid : kernel_.processes()) {
    const ProcessRef process = kernel_.find_process(pid);
    if (process != nullptr && process->is_init) all.insert(process->uid);
  }
  for (const auto& [subject, quota] : kernel_.quotas()) {
    if (const auto uid = subject_user(subject)) all.insert(*uid);
  }
  return {all.begin(), all.end()};
}

Result<uid_t> QuotaKeeper::find_user(const std::string& name) const {
  const auto uid = text::number<uid_t>(name);
  if (uid && std::to_string(*uid) == name) return *uid;  // each has one name, not 007
  if (const auto known = agentfs::find_user(name)) return known->uid;
  for (const uid_t known : users()) {
    if (kernel_.user_name(known) == name) return known;
  }
  return fail(ENOENT, "/sys/users/{}: no such user; a name or number that the host knows is one",
              text::shown(name));
}

Status QuotaKeeper::may_set(const Caller& caller, std::string_view what) const {
  const ProcessRef process = kernel_.find_process(caller.process);
  if (process == nullptr || process->is_init) return ok();
  return fail(EPERM, "{}: its limits are for a person to set, not for an agent (pid {})", what,
              process->pid.value);
}

// Whom they bind does not lift them.
Status QuotaKeeper::check_ruler(const Caller& caller, std::string_view what) const {
  const uid_t own = kernel_.user_of(caller);
  if (kernel_.is_ruler(own)) return ok();
  return fail(EACCES, "{}: its limits are for root or the mount's owner to set, not uid {}", what,
              own);
}

Status QuotaKeeper::set_tree(const Caller& caller, const std::string& root, std::string_view text) {
  TRY(may_set(caller, root));
  TRY(check_ruler(caller, root));
  return set(caller, root, text);
}

Status QuotaKeeper::set_user(const Caller& caller, uid_t uid, std::string_view text) {
  TRY(may_set(caller, fmt::format("user {}", uid)));
  TRY(check_ruler(caller, fmt::format("user {}", uid)));
  return set(caller, user_subject(uid), text);
}

Status QuotaKeeper::set(const Caller& caller, const std::string& subject, std::string_view text) {
  const Quota before = of(subject);
  const auto parsed = parse_quota(text, before);
  if (!parsed)
    return fail(parsed.error().code, "{}: {}", shown_subject(subject), parsed.error().message);
  const Quota& after = *parsed;
  if (after == before) return ok();
  json::Value data;
  if (const auto uid = subject_user(subject)) {
    data.set("uid", *uid);
  } else {
    json::set_bytes(data, "path", subject);
  }
  data.set("bytes", after.bytes).set("inodes", after.inodes);
  TRY(kernel_.commit(caller, std::string(kind::kQuotaSet), std::move(data)));
  kernel_.paths().await_count(subject);
  return ok();
}

Result<std::string> QuotaKeeper::usage(const std::string& subject) const {
  const Holding held = TRY(kernel_.paths().holding(subject));
  const Quota limit = of(subject);
  std::string out =
      fmt::format("bytes\t{}\nbytes_limit\t{}\ninodes\t{}\ninodes_limit\t{}\n", held.bytes,
                  shown_limit(limit.bytes), held.inodes, shown_limit(limit.inodes));
  // More than could be looked at in the time that a read may take: at least so much.
  if (!held.complete) out += "complete\tno\n";
  return out;
}

}  // namespace agentfs
