// SPDX-License-Identifier: MIT
// What fsck does with merges: those half done, the conflicts that are left, and what two trees have
// in common since the last one.
#include "backends/compare.h"
#include "backends/trees/forest_check.h"
#include "base/text.h"
#include "fsck_rows.h"
#include "kernel/merge_base_records.h"
#include "kernel/merges.h"

namespace agentfs::fsck {
namespace {

// Calls `use` for each forest with where its records lie and what trees there are.
Status for_each_family(const StateDirectory& state, const auto& use) {
  for (const ForestPaths& forest : forests(state)) {
    const std::string name = fmt::format("merge-bases/{}", text::last_part(forest.trees));
    TRY(use(name, TRY(look_at_family(forest.trees, forest.hidden))));
  }
  return ok();
}

Status check_bases(const StateDirectory& state, Findings& found) {
  return for_each_family(state, [&](const std::string& name, const auto& family) -> Status {
    for (const LostBase& lost : TRY(lost_bases(state.file(name), family))) {
      found.problems.push_back(
          fmt::format("{}/{}: {}; merges of the two are refused, since they might bring back what "
                      "one side has removed",
                      name, text::last_part(lost.record.path), lost.why));
    }
    for (const DamagedLineage& one : damaged_lineages(state.file(name), family)) {
      found.problems.push_back(
          fmt::format("{}/{}{}, so that what rollbacks took back of merges is not known; merges of "
                      "that tree are refused",
                      name, text::last_part(one.file), one.why));
    }
    return ok();
  });
}

// Those that have ended, and are read where a rollback goes back to when they were left.
Status check_ended(const StateDirectory& state, Findings& found) {
  return for_each_family(state, [&](const std::string& name, const auto&) -> Status {
    for (const BaseRecord& one : TRY(ended_conflicts(state.file(name)))) {
      const auto text = file::read(one.path);
      const auto left = text ? Merges::count_conflicts(*text) : std::unexpected(text.error());
      if (left) continue;
      found.problems.push_back(
          fmt::format("{}/{}: {}; a rollback to when these conflicts were left has them not, and "
                      "the next merge of the two finds them anew",
                      name, text::last_part(one.path), left.error().message));
    }
    return ok();
  });
}

// Without what rollbacks took back the records may tell of what is not there any more.
Status mend_lineages(const std::string& directory, const std::string& name,
                     const std::vector<TreeInfo>& family, const Quarantine& quarantine,
                     Sentences& done) {
  for (const auto& [file, tree, why] : damaged_lineages(directory, family)) {
    for (const BaseRecord& record : TRY(base_records(directory))) {
      if (record.into != tree && record.from != tree) continue;
      (void)TRY(quarantine.take(fmt::format("{}/{}", name, text::last_part(record.path))));
      TRY(forget_record(record));
    }
    if (file::exists(file)) {
      (void)TRY(quarantine.take(fmt::format("{}/{}", name, text::last_part(file))));
    }
    done.push_back(fmt::format(
        "{}/{}{}; it is in {} now, with the records of merges of that tree, which begin "
        "where it was forked",
        name, text::last_part(file), why, quarantine.path()));
  }
  return ok();
}

// A lineage is damaged by what the records need of it, so these come first.
Status mend_bases(const StateDirectory& state, const Quarantine& quarantine, Sentences& done) {
  return for_each_family(state, [&](const std::string& name, const auto& family) -> Status {
    for (const LostBase& lost : TRY(lost_bases(state.file(name), family))) {
      const std::string record = fmt::format("{}/{}", name, text::last_part(lost.record.path));
      std::string told = fmt::format("{}: {}", record, lost.why);
      if (file::exists(lost.record.path)) {
        told += fmt::format("; that is in {} now", TRY(quarantine.take(record)));
      }
      const Status mended = mend_base(state.file(name), lost, family);
      if (!mended && mended.error().code != ENODATA) return mended;
      told += mended ? "; it is written anew from the state that was merged"
                     : "; the next merge of the two begins where an earlier one ended";
      done.push_back(std::move(told));
    }
    return mend_lineages(state.file(name), name, family, quarantine, done);
  });
}

}  // namespace

Result<Findings> check_merges(Look& look) {
  Findings found;
  const auto names = names_in(look.state.file("merges"));
  for (const std::string& name : names) {
    const auto text = file::read(look.state.file("merges/" + name));
    const auto root = text ? Merges::root_of_order(*text) : std::unexpected(text.error());
    if (!root) {
      found.problems.push_back(
          fmt::format("merges/{}: {}; what it had replaced lies in "
                      ".agentfs-merge of the workspace",
                      name, root.error().message));
    } else if (!file::exists(look.state.file("trees" + *root))) {
      found.problems.push_back(
          fmt::format("merges/{}: into {}, which is not there", name, text::shown(*root)));
    }
  }
  for (const std::string& name : names_in(look.state.file("merge-conflicts"))) {
    const auto text = file::read(look.state.file("merge-conflicts/" + name));
    const auto left = text ? Merges::count_conflicts(*text) : std::unexpected(text.error());
    if (left || file::is_unfinished(name)) continue;
    found.problems.push_back(
        fmt::format("merge-conflicts/{}: {}; what a merge left to be resolved is not told any "
                    "more, and another merge of the two finds it anew",
                    name, left.error().message));
  }
  TRY(check_ended(look.state, found));
  TRY(check_bases(look.state, found));
  found.sum = fmt::format("{} half done; the next mount ends them", names.size());
  if (names.empty()) found.sum = "none half done";
  return found;
}

// An order that cannot be read, or is for a workspace that is gone, is never carried out; what it
// had replaced lies beside.
Result<Sentences> repair_merges(const StateDirectory& state, const Quarantine& quarantine) {
  Sentences done;
  for (const std::string& name : names_in(state.file("merges"))) {
    const auto text = file::read(state.file("merges/" + name));
    const auto order = text ? Merges::root_of_order(*text) : std::unexpected(text.error());
    const std::string root = order.value_or(text::unhex(name).value_or(""));
    const bool is_there = !root.empty() && file::exists(state.file("trees" + root));
    if (order && is_there) continue;
    const std::string kept = TRY(quarantine.take("merges/" + name));
    const std::string staged = fmt::format("trees{}/{}", root, kMergeDirectory);
    if (is_there && file::exists(state.file(staged))) TRY(quarantine.take(staged));
    done.push_back(fmt::format("merges/{}: {}; it is in {} now, with what it had replaced", name,
                               order ? "its workspace is gone" : order.error().message, kept));
  }
  TRY(mend_bases(state, quarantine, done));
  return done;
}

}  // namespace agentfs::fsck
