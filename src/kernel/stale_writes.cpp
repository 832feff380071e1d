// SPDX-License-Identifier: MIT
#include "kernel/stale_writes.h"

#include <algorithm>

#include "base/hash.h"
#include "base/text.h"
#include "kernel/configuration.h"
#include "kernel/conflict_table.h"
#include "kernel/fold.h"
#include "kernel/history_keeper.h"
#include "kernel/ignored_paths.h"
#include "kernel/kernel.h"
#include "kernel/refused_writes.h"

namespace agentfs {
namespace {

std::string name_of(const Generation& generation) {
  return generation.writer == nullptr ? std::string("another") : generation.writer->lineage;
}

}  // namespace

Sight StaleWrites::now() const {
  Sight sight;
  kernel_.look_at_fold([&](const Fold& fold) {
    sight.sequence = fold.applied();
    sight.version = fold.history().last();
  });
  return sight;
}

void StaleWrites::saw(const Caller& caller, const std::string& path, const Sight& sight) {
  if (!caller.process || !has_generation(path)) return;
  const ProcessRef process = kernel_.find_process(caller.process);
  if (process == nullptr || process->is_init) return;
  if (!sight.sequence && sightings_.find(caller.process, path)) return;
  sightings_.note(caller.process, path, sight);
}

bool StaleWrites::has_seen(const Caller& caller, const std::string& path) const {
  const std::optional<Sight> seen = sightings_.find(caller.process, path);
  return seen && look(path, caller.process).by_other <= seen->sequence;
}

bool StaleWrites::was_merged(ProcessId process, const std::string& path,
                             std::string_view text) const {
  const std::optional<Sight> seen = sightings_.find(process, path);
  return seen && seen->digest != fnv1a(text);
}

StaleWrites::Found StaleWrites::look(const std::string& path, ProcessId process) const {
  Found found;
  kernel_.look_at_fold([&](const Fold& fold) {
    found.last = fold.generations().of(path);
    found.by_other = fold.generations().changed_by_other(path, process);
  });
  return found;
}

std::uint64_t StaleWrites::number_of(const std::string& path) const {
  return std::max<std::uint64_t>(1, look(path, {}).last.number.value);
}

std::optional<PathGeneration> StaleWrites::generation(const std::string& path) const {
  if (!has_generation(path)) return std::nullopt;
  const Generation last = look(path, {}).last;
  return PathGeneration{std::max<std::uint64_t>(1, last.number.value),
                        last.writer == nullptr ? std::string() : last.writer->lineage};
}

// --- agents

Status StaleWrites::may_replace(const Caller& caller, Replacement& attempt) {
  if (!caller.process || !has_generation(attempt.path)) return ok();
  const ProcessRef process = kernel_.find_process(caller.process);
  if (process == nullptr || process->is_init) return ok();
  if (kernel_.configuration().history().stale_writes == StalePolicy::allow) return ok();
  const std::optional<Sight> seen = sightings_.find(process->pid, attempt.path);
  const Found found = look(attempt.path, process->pid);
  const bool is_own = found.last.writer != nullptr && found.last.writer->process == process->pid;
  const bool is_unread = !seen && !is_own && attempt.way == Replacement::Way::text;
  const bool is_stale = seen && found.by_other > seen->sequence;
  if ((!is_unread && !is_stale) || IgnoredPaths(kernel_).is_ignored(attempt.path)) {
    return ok();
  }
  return judge(caller, attempt, seen, found);
}

Status StaleWrites::judge(const Caller& caller, Replacement& attempt,
                          const std::optional<Sight>& seen, const Found& found) {
  const auto ours = kernel_.refused_writes().there(attempt.path);
  // Of what is empty, or again what the process saw, nothing would be lost.
  if (ours && (ours->empty() || (seen && fnv1a(*ours) == seen->digest))) return ok();
  const std::optional<std::string> base = seen ? base_of(attempt.path, *seen) : std::nullopt;
  if (!seen) {
    return refuse(caller, attempt,
                  fmt::format("{}: is there, last changed by {}, and this process has not read it; "
                              "nothing was written: read it, then write",
                              attempt.path, name_of(found.last)),
                  base);
  }
  const bool may_merge = attempt.way == Replacement::Way::text && base && ours &&
                         kernel_.parts().merger != nullptr &&
                         kernel_.configuration().history().stale_writes == StalePolicy::merge;
  if (may_merge) {
    const std::string theirs = TRY(attempt.text());
    auto merged = kernel_.parts().merger->merge_texts({*base, *ours, theirs});
    if (merged && merged->is_clean) {
      attempt.merged = std::move(merged->text);
      return ok();
    }
  }
  return refuse(caller, attempt,
                fmt::format("{}: was changed by {} since this process saw it (generation {}); "
                            "nothing was written: read it again, then write",
                            attempt.path, name_of(found.last), found.last.number.value),
                base);
}

Status StaleWrites::refuse(const Caller& caller, const Replacement& attempt, std::string sentence,
                           const std::optional<std::string>& base) {
  if (attempt.text == nullptr) return fail(ESTALE, "{}", sentence);
  RefusedWrites& refused = kernel_.refused_writes();
  const auto theirs = attempt.text();
  const auto ours = refused.there(attempt.path);
  if (theirs && ours && *theirs == *ours) {
    // Of a tool that is what it wants to be there. Programs that count from one number, too, put
    // the same: of a rename nobody knows, and there is nothing to keep.
    return attempt.way == Replacement::Way::text ? Status(ok()) : fail(ESTALE, "{}", sentence);
  }
  const auto kept =
      theirs
          ? refused.keep(
                caller, {.path = attempt.path, .reason = sentence, .theirs = *theirs, .base = base})
          : Result<std::uint64_t>(std::unexpected(theirs.error()));
  if (!kept) {
    return fail(ESTALE, "{} (what was refused is not kept: {})", sentence, kept.error().message);
  }
  return fail(ESTALE, "{} (what was refused is kept as /sys/conflicts/{}/theirs)", sentence, *kept);
}

// The first content that was replaced after the look is the one that was seen, unless bytes were
// added meanwhile, of which nothing is kept: the digest tells.
std::optional<std::string> StaleWrites::base_of(const std::string& path, const Sight& seen) const {
  if (seen.digest == 0) return std::nullopt;
  for (const FileVersionRef& version : kernel_.history().kept_since(path, seen.version)) {
    auto text = kernel_.history().text_of(*version);
    if (text && fnv1a(*text) == seen.digest) return text;
  }
  return std::nullopt;
}

// --- conditions

Status StaleWrites::set_condition(const Caller& caller, const std::string& path,
                                  std::uint64_t generation, pid_t thread) {
  if (!has_generation(path)) {
    return fail(ENOTSUP, "{}: has no generation; what is in /workspaces and /home has", path);
  }
  if (caller.host.pid == 0) {
    return fail(ENOTSUP, "{}: a condition is of a process of this host, which this is not", path);
  }
  const Conditions::Wanted wanted{generation, thread};
  return conditions_.set(caller.host, path, wanted, [&] { return number_of(path); });
}

// What a merge or the end of a command has replaced has its rows, and with them its generation,
// when all is in its place.
Result<ClaimNumber> StaleWrites::meet_condition(const Caller& caller, const std::string& path,
                                                const Publishing& how) {
  const std::string root(text::first_parts(path, 2));
  if (kernel_.conflicts().is_busy(root)) {
    return fail(ESTALE,
                "{}: a merge, or the end of a command on an overlay, is under way in {}; nothing "
                "has been published, and when it has ended the condition can be tried again",
                path, root);
  }
  return conditions_.meet(caller.host, path, how, [&] { return number_of(path); });
}

}  // namespace agentfs
