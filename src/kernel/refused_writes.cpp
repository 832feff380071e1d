// SPDX-License-Identifier: MIT
#include "kernel/refused_writes.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/directory.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "kernel/configuration.h"
#include "kernel/fold.h"
#include "kernel/history_keeper.h"
#include "kernel/kernel.h"
#include "kernel/kinds.h"
#include "kernel/retention.h"
#include "kernel/tree_path.h"

namespace agentfs {
namespace {

constexpr double kShare = 0.1;  // of what old contents may hold

}  // namespace

std::string RefusedWrites::directory_of(std::uint64_t number) const {
  return fmt::format("{}/conflicts/{}", kernel_.parts().state, number);
}

std::vector<RefusalRef> RefusedWrites::rows() const {
  std::vector<RefusalRef> rows;
  kernel_.look_at_fold([&](const Fold& fold) {
    for (const auto& [number, refusal] : fold.refusals()) rows.push_back(refusal);
  });
  return rows;
}

// Files first, then the row: what has files and no row is removed by the next start. A number is
// that of a record to come at the least, so that none is given again.
Result<std::uint64_t> RefusedWrites::keep(const Caller& caller, const Attempt& attempt) {
  const std::string digest = blake2b(attempt.theirs);
  for (const RefusalRef& known : rows()) {
    const bool is_same = known->path == attempt.path && known->process == caller.process &&
                         known->digest == digest && known->has_base == attempt.base.has_value();
    if (is_same) return known->number;
  }
  std::uint64_t next = 0;
  kernel_.look_at_fold([&](const Fold& fold) { next = fold.applied().value + 1; });
  std::uint64_t last = last_.load();
  std::uint64_t number = std::max(next, last + 1);
  while (!last_.compare_exchange_weak(last, number)) number = std::max(next, last + 1);
  const std::string directory = directory_of(number);
  TRY(file::make_directories(directory, 0700));
  TRY(file::replace(directory + "/theirs", attempt.theirs, 0600));
  if (attempt.base) TRY(file::replace(directory + "/base", *attempt.base, 0600));
  json::Value data;
  data.set("number", number).set("reason", attempt.reason).set("digest", digest);
  json::set_bytes(data, "path", attempt.path);
  data.set("bytes", attempt.theirs.size() + (attempt.base ? attempt.base->size() : 0));
  data.set("has_base", attempt.base.has_value());
  TRY(kernel_.commit(caller, std::string(kind::kConflictKeep), std::move(data)));
  return number;
}

Result<bool> RefusedWrites::sees(const Caller& caller, const Refusal& one) const {
  const ProcessRef refused = kernel_.find_process(one.process);
  if (refused != nullptr && refused->uid == kernel_.user_of(caller)) return true;  // wrote it
  const std::string root(text::first_parts(one.path, 2));
  const Horizon horizon = TRY(kernel_.history().horizon(caller, root));
  return one.number > horizon.ended.refusal;
}

std::vector<RefusalRef> RefusedWrites::all(const Caller& caller) const {
  std::vector<RefusalRef> seen = rows();
  std::erase_if(seen, [&](const RefusalRef& one) { return !sees(caller, *one).value_or(false); });
  return seen;
}

Result<RefusalRef> RefusedWrites::get(const Caller& caller, std::uint64_t number) const {
  RefusalRef found;
  kernel_.look_at_fold([&](const Fold& fold) {
    const auto at = fold.refusals().find(number);
    if (at != fold.refusals().end()) found = at->second;
  });
  if (found != nullptr && TRY(sees(caller, *found))) return found;
  return fail(ENOENT, "/sys/conflicts/{}: no such conflict", number);
}

ProcessId RefusedWrites::process_of(std::uint64_t number) const {
  ProcessId process;
  kernel_.look_at_fold([&](const Fold& fold) {
    const auto at = fold.refusals().find(number);
    if (at != fold.refusals().end()) process = at->second->process;
  });
  return process;
}

// --- the sides

Result<std::string> RefusedWrites::there(const std::string& path) const {
  auto text = kernel_.paths().read(Caller::daemon(kernel_), path, 0, 0);
  if (text) return text;
  // Nothing, or nothing that has a text, is in its place by now.
  const int code = text.error().code;
  const bool has_none = code == ENOENT || code == ENOTDIR || code == EISDIR || code == ENOTSUP;
  return has_none ? Result<std::string>("") : text;
}

// What was looked at is what is read, whatever is put in its place meanwhile, and a link leads
// nowhere.
Result<std::string> RefusedWrites::ours(const Caller& caller, const Refusal& refusal) const {
  const auto found = find_in_mount(kernel_, refusal.path);
  if (!found && (found.error().code == ENOENT || found.error().code == ENOTDIR)) return "";
  if (!found) return std::unexpected(found.error());
  const TreeEntry& entry = found->entry;
  if (entry.node->type() != S_IFREG) return "";
  if (kernel_.history().may_read(caller, entry.attributes)) {
    return read_file(*found->store, *entry.node);
  }
  return fail(EACCES, "{}: is uid {}'s by now, and not this caller's to read",
              text::shown(refusal.path), entry.attributes.st_uid);
}

Result<std::string> RefusedWrites::base(const Refusal& refusal) const {
  if (!refusal.has_base) return std::string();
  return file::read(directory_of(refusal.number) + "/base");
}

Result<std::string> RefusedWrites::theirs(const Refusal& refusal) const {
  return file::read(directory_of(refusal.number) + "/theirs");
}

Result<TreeMerger::TextMerge> RefusedWrites::merged(const Caller& caller,
                                                    const Refusal& refusal) const {
  if (!refusal.has_base || kernel_.parts().merger == nullptr) {
    return fail(ENOENT,
                "{}: what the process had seen is not kept, so there is nothing to merge by",
                refusal.path);
  }
  const std::string before = TRY(base(refusal));
  const std::string there = TRY(ours(caller, refusal));
  const std::string refused = TRY(theirs(refusal));
  return kernel_.parts().merger->merge_texts({before, there, refused});
}

// --- the end

Result<std::string> RefusedWrites::take(const Caller& caller, const Refusal& refusal,
                                        const std::string& side) {
  const std::uint64_t number = refusal.number;
  if (side == "ours") {
    // It gives up what was refused: the agent's own, or a person's decision.
    if (caller.process != refusal.process) TRY(kernel_.history().may_destroy(caller, refusal.path));
    TRY(end(caller, number, side));
    return fmt::format("{} stays as it is\n", refusal.path);
  }
  if (side != "theirs" && side != "merged") {
    return fail(EINVAL, "take: no such side ({}); ours, theirs and merged are", text::shown(side));
  }
  const auto text = [&]() -> Result<std::string> {
    if (side == "theirs") return theirs(refusal);
    TreeMerger::TextMerge both = TRY(merged(caller, refusal));
    if (both.is_clean) return std::move(both.text);
    return fail(EBUSY,
                "{}: both changed the same lines, and markers are never written; a text made of "
                "/sys/conflicts/{}/merged, written there, and take ours would do",
                refusal.path, number);
  };
  TRY(kernel_.may_change(caller, refusal.path));
  Caller named = caller;
  named.path = fmt::format("/sys/conflicts/{}/ctl", number);
  TRY(kernel_.paths().edit(named, refusal.path, text));
  TRY(end(caller, number, side));
  return fmt::format("{} has what conflict {} had as {}\n", refusal.path, number, side);
}

Result<std::string> RefusedWrites::drop(const Caller& caller, const Refusal& refusal) {
  TRY(kernel_.history().may_destroy(caller, fmt::format("/sys/conflicts/{}", refusal.number)));
  TRY(end(caller, refusal.number, "drop"));
  return fmt::format("conflict {} is forgotten\n", refusal.number);
}

// The row first: a crash in between leaves files that the next start removes.
Status RefusedWrites::end(const Caller& caller, std::uint64_t number, std::string_view how) {
  json::Value data;
  data.set("number", number).set("how", how);
  TRY(kernel_.commit(caller, std::string(kind::kConflictEnd), std::move(data)));
  std::error_code error;
  std::filesystem::remove_all(directory_of(number), error);
  if (error) return fail(error.value(), "{}: {}", directory_of(number), error.message());
  return ok();
}

Status RefusedWrites::empty() {
  std::vector<RefusalRef> kept = rows();
  if (kept.empty() || kernel_.parts().past == nullptr) return ok();
  const HistorySettings settings = kernel_.configuration().history();
  const std::int64_t days = std::max<std::int64_t>(settings.days, 1);
  const std::int64_t before = kernel_.clock().wall() - days * kDay;
  const struct statvfs disk = TRY(kernel_.parts().past->statistics());
  const std::uint64_t most = share_of(disk, settings.share * kShare);
  std::uint64_t bytes = 0;
  std::size_t count = 0;
  for (const RefusalRef& one : kept) bytes += one->bytes;
  for (const RefusalRef& one : kept) {
    const bool is_old = kernel_.history().by_now(one->time) <= before;
    if (!is_old && bytes <= most && kept.size() - count <= kMost) break;
    TRY(end(Caller::daemon(kernel_), one->number, is_old ? "age" : "space"));
    bytes -= one->bytes;
    ++count;
  }
  return ok();
}

Status RefusedWrites::settle() {
  std::set<std::string> known;
  for (const RefusalRef& one : rows()) {
    last_ = std::max(last_.load(), one->number);
    known.insert(std::to_string(one->number));
    if (file::exists(directory_of(one->number) + "/theirs")) continue;
    TRY(end(Caller::daemon(kernel_), one->number, "missing"));
  }
  const std::string all = kernel_.parts().state + "/conflicts";
  for (const HostEntry& entry : entries_in(all)) {
    std::error_code ignored;
    if (known.contains(entry.name)) continue;
    std::filesystem::remove_all(fmt::format("{}/{}", all, entry.name), ignored);
  }
  return ok();
}

}  // namespace agentfs
