// SPDX-License-Identifier: MIT
#include "backends/compare/comparing.h"

#include <algorithm>

#include "backends/compare/content.h"
#include "backends/compare/patch.h"
#include "backends/compare/renames.h"
#include "backends/compare/walk.h"
#include "backends/git/library.h"

namespace agentfs {
namespace {

class LineComparer final : public TreeComparer {
 public:
  Result<std::vector<PathChange>> changes(const TreeSide& before, const TreeSide& after,
                                          const CompareOptions& options) const override {
    return compare::changes_between(before, after, options);
  }
  std::string status(const std::vector<PathChange>& changes) const override {
    return compare::status_text(changes);
  }
  Status diff(const Patch& patch, const Sink& sink) const override {
    return compare::write_patch(patch, sink);
  }

 private:
  git::Library library_;
};

}  // namespace

namespace compare {

void sort_by_path(std::vector<PathChange>& changes) {
  std::ranges::sort(changes, {}, [](const PathChange& change) {
    return std::pair{std::string_view(change.path), change.kind != PathChange::Kind::deleted};
  });
}

Result<std::vector<PathChange>> changes_between(const TreeSide& before, const TreeSide& after,
                                                const CompareOptions& options) {
  auto changes = TRY(differences({.before = before, .after = after}, options));
  if (options.renames) {
    PathFinder before_finder(before);
    PathFinder after_finder(after);
    TRY(find_renames(changes, before_finder, after_finder, options));
  }
  sort_by_path(changes);
  return changes;
}

}  // namespace compare

std::unique_ptr<TreeComparer> open_comparer() { return std::make_unique<LineComparer>(); }

}  // namespace agentfs
