// SPDX-License-Identifier: MIT
#include "backends/compare/comparing.h"
#include "backends/compare/decide.h"
#include "backends/compare/line_merge.h"
#include "backends/compare/plan.h"
#include "backends/compare/staging.h"
#include "backends/compare/stamps.h"
#include "backends/compare/steps.h"
#include "backends/git/library.h"
#include "base/text.h"

namespace agentfs {
namespace {

using namespace compare;

// What a text with markers is read up to; the plan has seen that the files were no larger than its
// own limit.
constexpr std::int64_t kLargestMerged = std::int64_t{1} << 30;

class LineMerger final : public TreeMerger {
 public:
  Result<MergePlan> plan(const MergeSides& sides, const CompareOptions& options) const override {
    return plan_merge(sides, options);
  }

  Result<std::string> merged(const MergeSides& sides,
                             const MergeConflict& conflict) const override {
    if (!conflict.has_merged) {
      return fail(ENOENT, "{}: no merged text; {}", text::shown(conflict.path), conflict.sentence);
    }
    ThreeLeaves leaves;
    if (!conflict.base_path.empty()) {
      leaves.base = TRY(PathFinder(sides.base).leaf(conflict.base_path));
    }
    leaves.ours = TRY(PathFinder(sides.ours).leaf(conflict.ours_path));
    leaves.theirs = TRY(PathFinder(sides.theirs).leaf(conflict.theirs_path));
    return TRY(merge_leaves(leaves, kLargestMerged)).text;
  }

  Result<TextMerge> merge_texts(const Texts& texts) const override {
    if (is_binary(texts.base) || is_binary(texts.ours) || is_binary(texts.theirs)) {
      return fail(EINVAL, "merge: binary (a NUL in the first 8,000 bytes); texts would do");
    }
    MergedText merged = TRY(merge_lines({texts.base, texts.ours, texts.theirs}));
    return TextMerge{std::move(merged.text), merged.is_clean};
  }

  Result<std::string> stage(const MergeSides& sides, const MergePlan& plan,
                            const StageOptions& options) const override {
    if (!plan.conflicts.empty() && !options.partial) {
      return fail(EBUSY, "merge: {} conflicts, the first one {} ({}); partial merges the rest",
                  plan.conflicts.size(), text::shown(plan.conflicts[0].path),
                  plan.conflicts[0].sentence);
    }
    const TreeNodeRef staging = TRY(make_staging(sides.ours));
    auto record = stage_plan({.sides = sides, .directory = staging, .options = options}, plan);
    Status synced = ok();
    if (record && options.durable) synced = sync_disk(*sides.ours.store, *staging);
    if (record && synced) return to_text(*record);
    const Error& error = record ? synced.error() : record.error();
    if (const auto cleared = discard_staging(sides.ours); !cleared) {
      return fail(error.code, "{}; and then: {}", error.message, cleared.error().message);
    }
    return std::unexpected(error);
  }

  Status apply(const TreeSide& ours, const std::string& record,
               const Exchange& exchange) const override {
    return apply_steps(ours, TRY(record_of(record)), exchange);
  }
  Result<std::vector<TreeNodeRef>> freshen(const TreeSide& ours, const std::string& record,
                                           const Exchange& exchange) const override {
    return freshen_steps(ours, TRY(record_of(record)), exchange);
  }
  Status undo(const TreeSide& ours, const std::string& record,
              const Exchange& exchange) const override {
    return undo_steps(ours, TRY(record_of(record)), exchange);
  }
  Status finish(const TreeSide& ours, const std::string& record, const Kept& kept,
                const Returned& returned) const override {
    return clear_staging(ours, TRY(record_of(record)), kept, returned);
  }
  Status discard(const TreeSide& ours) const override { return discard_staging(ours); }

 private:
  git::Library library_;
};

}  // namespace

std::unique_ptr<TreeMerger> open_merger() { return std::make_unique<LineMerger>(); }

}  // namespace agentfs
