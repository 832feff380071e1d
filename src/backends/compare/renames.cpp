// SPDX-License-Identifier: MIT
#include "backends/compare/renames.h"

#include <git2/sys/hashsig.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "backends/compare/attributes.h"
#include "backends/git/library.h"
#include "base/text.h"

namespace agentfs::compare {
namespace {

using Kind = PathChange::Kind;
using Signature = git::Handle<git_hashsig, git_hashsig_free>;

bool can_be_renamed(const FileState& state) { return is_in_patches(state.mode); }
// Nothing is no sign that two files are one.
bool says_something(const FileState& state) { return state.size > 0; }

class Pairing {
 public:
  Pairing(std::vector<PathChange>& changes, PathFinder& before, PathFinder& after,
          const CompareOptions& options)
      : changes_(changes), before_(before), after_(after), options_(options) {}

  Status run();
  Status run_along(const DirectoryRenames& renamed);

 private:
  using Indices = std::vector<std::size_t>;
  struct Candidate {
    int score = 0;
    std::size_t from = 0;
    std::size_t to = 0;
  };

  void collect();
  Status by_inode();
  Status by_content();
  Status by_similarity();
  Status digest_into(std::map<std::string, Indices>& groups, bool added);
  Status pair_group(const Indices& sources, const Indices& targets);
  Result<std::vector<Signature>> signatures(const Indices& files, bool added);
  bool can_be_similar(std::size_t from, std::size_t to) const;
  Status join(const Candidate& found);
  void drop_joined();
  bool is_free(std::size_t change) const { return !taken_[change]; }
  bool is_cancelled() const { return options_.cancelled && options_.cancelled(); }

  std::vector<PathChange>& changes_;
  PathFinder& before_;
  PathFinder& after_;
  const CompareOptions& options_;
  Indices sources_;  // deleted
  Indices targets_;  // added
  std::vector<bool> taken_;
};

Status Pairing::run() {
  taken_.resize(changes_.size());
  collect();
  if (!sources_.empty() && !targets_.empty()) {
    TRY(by_inode());
    TRY(by_content());
    TRY(by_similarity());
  }
  drop_joined();
  return ok();
}

Status Pairing::run_along(const DirectoryRenames& renamed) {
  taken_.resize(changes_.size());
  collect();
  const auto is_empty = [](const FileState& state) {
    return state.is_regular() && state.size == 0;
  };
  std::unordered_map<std::string_view, std::size_t> targets;
  for (const std::size_t at : targets_) {
    if (is_empty(changes_[at].after)) targets.emplace(changes_[at].path, at);
  }
  for (const std::size_t at : sources_) {
    const PathChange& source = changes_[at];
    const DirectoryRename* const along =
        is_empty(source.before) ? renamed.of(source.path) : nullptr;
    if (along == nullptr) continue;
    const auto found = targets.find(along->follow(source.path));
    if (found != targets.end()) TRY(join({.score = 100, .from = at, .to = found->second}));
  }
  drop_joined();
  return ok();
}

void Pairing::collect() {
  for (std::size_t at = 0; at < changes_.size(); ++at) {
    const PathChange& change = changes_[at];
    if (change.whole) continue;
    if (change.kind == Kind::deleted && can_be_renamed(change.before)) sources_.push_back(at);
    if (change.kind == Kind::added && can_be_renamed(change.after)) targets_.push_back(at);
  }
}

// A renamed file keeps its inode, size and time of modification; where inodes may be given away
// again, all of them must agree. Even then it may have been written to, and the time set back: a
// rename moves the time of change, which tells of that elsewhere.
Status Pairing::by_inode() {
  std::unordered_map<std::uint32_t, std::size_t> by_number;
  for (const std::size_t at : sources_) {
    by_number.emplace(static_cast<std::uint32_t>(changes_[at].before.inode), at);
  }
  for (const std::size_t at : targets_) {
    const FileState& after = changes_[at].after;
    const auto found = by_number.find(static_cast<std::uint32_t>(after.inode));
    if (found == by_number.end() || taken_[found->second]) continue;
    const FileState& before = changes_[found->second].before;
    if (before.type() != after.type() || before.device != after.device) continue;
    const bool untouched = before.size == after.size && before.modified == after.modified;
    if (!untouched && !options_.lasting_inodes) continue;
    TRY(join({.score = -1, .from = found->second, .to = at}));
  }
  return ok();
}

Status Pairing::digest_into(std::map<std::string, Indices>& groups, bool added) {
  std::map<std::int64_t, bool> other_sizes;
  for (const std::size_t at : added ? sources_ : targets_) {
    if (is_free(at)) other_sizes[added ? changes_[at].before.size : changes_[at].after.size] = true;
  }
  for (const std::size_t at : added ? targets_ : sources_) {
    const PathChange& change = changes_[at];
    const FileState& state = added ? change.after : change.before;
    if (!is_free(at) || !says_something(state) || !other_sizes.contains(state.size)) continue;
    if (is_cancelled()) return fail(EINTR, "compare: cancelled while looking for renames");
    const auto leaf = (added ? after_ : before_).leaf(change.path);
    const auto digest = leaf ? digest_of(*leaf) : std::unexpected(leaf.error());
    if (!digest) continue;  // gone or unreadable: then it has no other name that could be told
    groups[fmt::format("{:o} {}", state.type(), *digest)].push_back(at);
  }
  return ok();
}

Status Pairing::by_content() {
  std::map<std::string, Indices> deleted;
  std::map<std::string, Indices> added;
  TRY(digest_into(deleted, false));
  TRY(digest_into(added, true));
  for (const auto& [digest, targets] : added) {
    const auto sources = deleted.find(digest);
    if (sources != deleted.end()) TRY(pair_group(sources->second, targets));
  }
  return ok();
}

Status Pairing::pair_group(const Indices& sources, const Indices& targets) {
  std::map<std::string_view, Indices> by_name;
  for (const std::size_t at : sources) by_name[text::last_part(changes_[at].path)].push_back(at);
  for (auto& [name, group] : by_name) std::ranges::reverse(group);
  for (const std::size_t at : targets) {
    const auto same_name = by_name.find(text::last_part(changes_[at].path));
    if (same_name == by_name.end() || same_name->second.empty()) continue;
    const std::size_t source = same_name->second.back();
    same_name->second.pop_back();
    TRY(join({.score = 100, .from = source, .to = at}));
  }
  auto source = sources.begin();
  for (const std::size_t at : targets) {
    if (!is_free(at)) continue;
    source = std::find_if(source, sources.end(), [&](std::size_t from) { return is_free(from); });
    if (source == sources.end()) return ok();
    TRY(join({.score = 100, .from = *source, .to = at}));
  }
  return ok();
}

Result<std::vector<Signature>> Pairing::signatures(const Indices& files, bool added) {
  std::vector<Signature> made;
  for (const std::size_t at : files) {
    made.emplace_back();
    if (is_cancelled()) return fail(EINTR, "compare: cancelled while looking for renames");
    const auto leaf = (added ? after_ : before_).leaf(changes_[at].path);
    const auto bytes = leaf ? read_leaf(*leaf, options_.largest) : std::unexpected(leaf.error());
    if (!bytes) continue;
    git_hashsig* signature = nullptr;
    const int result =
        git_hashsig_create(&signature, bytes->data(), bytes->size(), GIT_HASHSIG_ALLOW_SMALL_FILES);
    if (result == 0) made.back().reset(signature);
  }
  return made;
}

// What has so many more bytes than the other has too many that are not in it.
bool Pairing::can_be_similar(std::size_t from, std::size_t to) const {
  const std::int64_t one = changes_[from].before.size;
  const std::int64_t other = changes_[to].after.size;
  return std::min(one, other) * 100 >= std::max(one, other) * options_.similarity;
}

Status Pairing::by_similarity() {
  const auto is_candidate = [&](std::size_t at) {
    const PathChange& change = changes_[at];
    const FileState& state = change.kind == Kind::added ? change.after : change.before;
    return is_free(at) && state.is_regular() && says_something(state) &&
           state.size <= options_.largest;
  };
  Indices sources;
  Indices targets;
  std::ranges::copy_if(sources_, std::back_inserter(sources), is_candidate);
  std::ranges::copy_if(targets_, std::back_inserter(targets), is_candidate);
  if (sources.empty() || targets.empty()) return ok();
  if (std::max(sources.size(), targets.size()) > options_.inexact_files) return ok();
  const auto source_signatures = TRY(signatures(sources, false));
  const auto target_signatures = TRY(signatures(targets, true));
  std::vector<Candidate> found;
  for (std::size_t from = 0; from < sources.size(); ++from) {
    for (std::size_t to = 0; to < targets.size(); ++to) {
      if (!source_signatures[from] || !target_signatures[to]) continue;
      if (!can_be_similar(sources[from], targets[to])) continue;
      // Equal ones would have been found by now.
      const int score = std::min(
          99, git_hashsig_compare(source_signatures[from].get(), target_signatures[to].get()));
      if (score >= options_.similarity) found.push_back({score, sources[from], targets[to]});
    }
  }
  std::ranges::sort(
      found, {}, [](const Candidate& pair) { return std::tuple{-pair.score, pair.from, pair.to}; });
  for (const Candidate& candidate : found) TRY(join(candidate));
  return ok();
}

// Of a pair found by its inode, what became of the bytes is not known yet.
Status Pairing::join(const Candidate& found) {
  if (!is_free(found.from) || !is_free(found.to)) return ok();
  PathChange& target = changes_[found.to];
  const PathChange& source = changes_[found.from];
  target.kind = Kind::renamed;
  target.from = source.path;
  target.before = source.before;
  target.content = found.score < 100;
  target.similarity = std::max(found.score, 0);
  if (found.score < 0) {
    const auto before = TRY(before_.leaf(source.path));
    const auto same = same_content(before, TRY(after_.leaf(target.path)));
    target.content = !same || !*same;
    target.similarity = target.content ? 50 : 100;
  }
  if (options_.attributes && target.after.is_regular()) {
    target.attributes = attributes_of(TRY(before_.leaf(source.path))) !=
                        attributes_of(TRY(after_.leaf(target.path)));
  }
  taken_[found.from] = taken_[found.to] = true;
  return ok();
}

void Pairing::drop_joined() {
  std::size_t kept = 0;
  for (std::size_t at = 0; at < changes_.size(); ++at) {
    if (taken_[at] && changes_[at].kind == Kind::deleted) continue;
    if (kept != at) changes_[kept] = std::move(changes_[at]);
    ++kept;
  }
  changes_.resize(kept);
}

}  // namespace

Status find_renames(std::vector<PathChange>& changes, PathFinder& before, PathFinder& after,
                    const CompareOptions& options) {
  return Pairing(changes, before, after, options).run();
}

Status find_empty_renames(std::vector<PathChange>& changes, const DirectoryRenames& renamed,
                          const TreeSide& before, const TreeSide& after,
                          const CompareOptions& options) {
  if (renamed.empty()) return ok();
  PathFinder before_finder(before);
  PathFinder after_finder(after);
  return Pairing(changes, before_finder, after_finder, options).run_along(renamed);
}

}  // namespace agentfs::compare
