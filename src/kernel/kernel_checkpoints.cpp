// SPDX-License-Identifier: MIT
// Checkpoints as git commits: made after the checkpoint, from the state that it keeps.
#include <algorithm>
#include <cctype>
#include <chrono>
#include <climits>

#include "base/log.h"
#include "base/text.h"
#include "kernel/checkpoint_changes.h"
#include "kernel/checkpoint_stage.h"
#include "kernel/commit_changes.h"
#include "kernel/commit_place.h"
#include "kernel/forks.h"
#include "kernel/kernel_state.h"
#include "kernel/paths.h"
#include "kernel/submodules.h"

namespace agentfs {
namespace {

constexpr std::string_view kRoot = "/workspaces/";

// Git makes a file of the name with ".lock" behind it.
constexpr std::size_t kLongestPart = NAME_MAX - std::string_view(".lock").size();

// A name of a checkpoint as part of a ref's name: what git does not take is "%20", and what is too
// long has "%%" and a hash at its end.
std::string ref_name(std::string_view name) {
  constexpr std::string_view kPlain = "-_+=,#!$&'();<>@{}";
  std::string encoded;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    const bool is_plain = std::isalnum(byte) != 0 || byte >= 0x80 || kPlain.contains(c);
    // Neither "..", nor ".lock" at the end, nor a dot at either end.
    const bool is_inner_dot = c == '.' && !encoded.empty() && encoded.back() != '.';
    if (is_plain || is_inner_dot) {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", byte);
    }
  }
  const bool is_at_end = encoded.ends_with('.') || encoded.ends_with(".lock");
  if (is_at_end) encoded.replace(encoded.rfind('.'), 1, "%2E");
  const auto brace = encoded.find("@{");
  if (encoded == "@" || brace != std::string::npos) {
    for (auto at = encoded.find('@'); at != std::string::npos; at = encoded.find('@')) {
      encoded.replace(at, 1, "%40");
    }
  }
  return shortened(encoded, kLongestPart, "%%");
}

std::optional<SnapshotId> state_in(std::string_view text) {
  const auto dot = text.find('.');
  if (dot == text.npos) return std::nullopt;
  const auto tree = text::number<std::uint32_t>(text.substr(0, dot));
  const auto sequence = text::number<std::uint64_t>(text.substr(dot + 1));
  if (!tree || !sequence) return std::nullopt;
  return SnapshotId{*tree, *sequence};
}

bool has_own_repository(const Kernel& kernel, const std::string& workspace) {
  const auto forest = kernel.forks().forest_of(fmt::format("{}{}", kRoot, workspace));
  if (!forest) return false;
  const auto top = (*forest)->lookup(*(*forest)->root(), workspace);
  const auto git = top ? (*forest)->lookup(*top->node, ".git") : fail(ENOENT, "nothing");
  return git && git->node->type() == S_IFDIR;
}

// Whether the changes tell that git tracks other paths, perhaps; where all is looked at, that is
// seen there.
bool take_index(std::vector<std::string>& changed) {
  const bool is_told = std::erase(changed, kIndex) != 0 || std::ranges::count(changed, ".git") != 0;
  return is_told && std::ranges::count(changed, "") == 0;
}

// A checkpoint that is to be committed, and what is known of the commits before.
struct Order {
  std::string workspace;
  Sequence record;
  PendingCheckpoint checkpoint;
  std::vector<std::string> changed;      // since the last commit
  std::vector<std::string> rolled_back;  // of a rollback since: they stand for all below them
  bool went_back = false;
  CommittedCheckpoint last;     // no commit: there is none
  CommittedCheckpoint left;     // the newest that a rollback has left
  CommittedCheckpoint earlier;  // the newest but the last one
  std::string author;
};

// What has changed after the checkpoint is read as it was then.
std::optional<Order> next_order(const Fold& fold, const std::string& workspace) {
  const WorkspaceChanges* const changes = fold.find_workspace(workspace);
  if (changes == nullptr || changes->checkpoints.pending.empty()) return std::nullopt;
  const CheckpointCommits& commits = changes->checkpoints;
  const auto& [record, checkpoint] = *commits.pending.begin();
  Order order{.workspace = workspace,
              .record = record,
              .checkpoint = checkpoint,
              .changed = {},
              .rolled_back = {},
              .went_back = commits.rolled_back.value != 0,
              .last = {.commit = commits.commit, .state = commits.state},
              .left = {},
              .earlier = {},
              .author = author_name(fold, checkpoint.author)};
  for (auto& [path, edit] : changes->changed.since(commits.reached)) {
    auto& paths = edit.sequence == commits.rolled_back ? order.rolled_back : order.changed;
    paths.push_back(std::move(path));
  }
  if (!commits.earlier.empty()) order.left = commits.earlier.back();
  for (const CommittedCheckpoint& one : commits.earlier) {
    if (one.commit != commits.commit) order.earlier = one;
  }
  return order;
}

class Committing {
 public:
  Committing(Kernel& kernel, const Order& order)
      : kernel_(kernel), order_(order), root_(fmt::format("{}{}", kRoot, order.workspace)) {
    const std::string& state = kernel.parts().state;
    next_.worktree = fmt::format("{}/trees{}", state, root_);
    next_.git_directory = repository_beside(state, order.workspace);
    next_.ref = ref();
    next_.message = fmt::format("checkpoint {} of {}\n", order.checkpoint.name, order.workspace);
    next_.author = order.author;
    next_.seconds = order.checkpoint.time / 1'000'000'000;
    next_.always = true;
  }
  std::string ref() const { return "refs/agentfs/checkpoints/" + ref_name(order_.checkpoint.name); }

  // A .git that was taken back has all of the commits that were written before it was kept, and of
  // later ones this and that, since they are written past the forest.
  Result<std::string> run() {
    Result<std::string> made;
    if (order_.went_back && has_own_repository(kernel_, order_.workspace)) {
      made = commit_since(order_.left);
    } else {
      next_.parent = order_.last.commit;
      made = commit(TRY(changed()), order_.last.state);
      if (is_gone(made)) made = commit_since(order_.earlier);  // git gc took the last one away
    }
    if (!is_gone(made)) return made;
    next_.parent.clear();
    return commit({""}, "");
  }
  std::size_t paths() const { return next_.changed.size(); }  // that were looked at

 private:
  static bool is_gone(const Result<std::string>& made) {
    return !made && made.error().code == ESTALE;
  }
  // The worktree is found by the workspace's name, which may be another's by now.
  bool is_in_place() const {
    const auto state = state_in(order_.checkpoint.state);
    const auto now = kernel_.forks().info_of(root_);
    return state && now && now->number == state->tree;
  }
  // ESTALE where it is not known any more what it was.
  Result<std::string> commit_since(const CommittedCheckpoint& before) {
    auto since = before.commit.empty() ? fail(ESTALE, "no commit") : changed_since(before);
    if (!since) return fail(ESTALE, "{}", since.error().message);
    next_.parent = before.commit;
    return commit(*since, before.state);
  }
  Result<TreeNodeRef> top_of(std::string_view text) const {
    const auto state = state_in(text);
    if (!state) return fail(EBADMSG, "no state of a tree ({})", text);
    return TRY(kernel_.forks().forest_of(root_))->snapshot_root(*state);
  }
  Result<std::vector<std::string>> changed() const {
    std::vector<std::string> all = order_.changed;
    for (const std::string& path : kernel_.paths().open_for_writing(root_)) {
      if (text::is_below(path, root_)) all.push_back(path.substr(root_.size() + 1));
    }
    if (order_.rolled_back.empty()) return all;
    const auto since = changed_since(order_.last);
    const auto& more = since ? *since : order_.rolled_back;
    all.insert(all.end(), more.begin(), more.end());
    std::ranges::sort(all);
    const auto twice = std::ranges::unique(all);
    all.erase(twice.begin(), twice.end());
    return all;
  }
  Result<std::vector<std::string>> changed_since(const CommittedCheckpoint& before) const {
    Forest& forest = *TRY(kernel_.forks().forest_of(root_));
    return changes_between(forest, TRY(top_of(before.state)), TRY(top_of(order_.checkpoint.state)));
  }
  // Beside those that have changed since a state of the workspace, "" where that is not known.
  Result<std::string> commit(const std::vector<std::string>& changed, const std::string& since) {
    Result<std::string> made = commit_by(changed, since, false);
    const bool lacks_known = !made && made.error().code == ENODATA;  // an index may name anything
    return lacks_known ? commit_by(changed, since, true) : made;
  }
  Result<std::string> commit_by(std::vector<std::string> changed, const std::string& since,
                                bool reads_all) {
    Forest& forest = *TRY(kernel_.forks().forest_of(root_));
    const TreeNodeRef top = TRY(top_of(order_.checkpoint.state));
    stage_.reset();
    stage_.emplace(TRY(CheckpointStage::make(
        forest,
        // Under the name that the workspace had before another may be made ready still.
        fmt::format("{}/staged/{}.{}", kernel_.parts().state, order_.record.value,
                    kernel_.clock().steady()),
        reads_all)));
    const auto last = top_of(since);
    const TreeNodeRef before = last ? *last : nullptr;
    const bool tracks_others = take_index(changed);
    std::vector<std::string> whole;
    TRY(complete_changes(forest, top, before, changed, whole));
    changed.insert(changed.end(), whole.begin(), whole.end());
    for (const std::string& path : changed) TRY(stage_->add(top, path));
    if (tracks_others) TRY(stage_->add_tracked(top, before));
    TRY(stage_->add_away(top));
    const auto tracked = stage_->tracked();
    changed.insert(changed.end(), tracked.begin(), tracked.end());
    next_.changed = std::move(changed);
    next_.source = stage_->directory();
    next_.left = stage_->left();
    next_.ignored = stage_->ignored();
    next_.known = stage_->take_known();
    next_.away = stage_->take_away();
    next_.asks_index = !stage_->knows_index();
    Result<std::string> made;
    TRY(kernel_.between_commits(root_, [&]() -> Status {
      if (!is_in_place()) {
        made = fail(EINTR, "{}: has another name by now", root_);
        return ok();
      }
      ready_for_commit(kernel_, root_, next_.ref);
      made = kernel_.parts().repository->commit(next_);
      return ok();
    }));
    return made;
  }

  Kernel& kernel_;
  const Order& order_;
  const std::string root_;
  TurnCommit next_;
  std::optional<CheckpointStage> stage_;  // removed with this, when all is told
};

// False where it is still to be done, under the name that the workspace has by now perhaps.
bool tell(Kernel& kernel, const Order& order, const Committing& commit,
          const Result<std::string>& made) {
  if (!made && made.error().code == EINTR) return false;
  json::Value data;
  json::set_bytes(data, "workspace", order.workspace);
  json::set_bytes(data, "name", order.checkpoint.name);
  data.set("record", order.record.value).set("paths", commit.paths());
  if (made) {
    json::set_bytes(data, "ref", commit.ref());
    data.set("commit", *made);
  } else {
    data.set("error", made.error().message);
    kernel.errors().add(
        order.checkpoint.author,
        fmt::format("commit of checkpoint {} of {}", text::shown(order.checkpoint.name),
                    text::shown(order.workspace)),
        made.error());
  }
  const auto told = kernel.commit(kernel.agent(order.checkpoint.author),
                                  std::string(kind::kCheckpointCommit), std::move(data));
  if (!told) log::warning("checkpoint of {}: {}", order.workspace, told.error().message);
  return told.has_value();
}

}  // namespace

std::optional<Sequence> Kernel::checkpoint_reaches(const std::string& root) const {
  const auto workspace = paths::workspace_of(root);
  if (!workspace || parts().repository == nullptr || parts().pool == nullptr) return std::nullopt;
  const bool has_repository = file::exists(repository_beside(parts().state, *workspace)) ||
                              has_own_repository(*this, *workspace);
  if (!has_repository) return std::nullopt;
  Lock lock(state_->mutex);
  return state_->fold.applied();
}

Result<Hold> Kernel::hold_commits(const std::string& root,
                                  std::chrono::milliseconds longest) const {
  const auto workspace = paths::workspace_of(root);
  if (!workspace) return Hold();
  {
    Lock lock(state_->mutex);
    const auto late = std::chrono::steady_clock::now() + longest;
    while (state_->committing.contains(*workspace)) {
      if (state_->changed.wait_until(lock, late) == std::cv_status::no_timeout) continue;
      return fail(EBUSY,
                  "{}: a checkpoint of it is being committed to its repository; once git has that "
                  "(refs/agentfs/checkpoints), this would do",
                  root);
    }
    state_->committing.insert(*workspace);
  }
  return hold_until([state = state_, workspace = *workspace] {
    {
      Lock lock(state->mutex);
      state->committing.erase(workspace);
    }
    state->changed.notify_all();
  });
}

Status Kernel::between_commits(const std::string& root, const std::function<Status()>& act) const {
  const Hold held = TRY(hold_commits(root, std::chrono::hours(24)));
  return act();
}

void Kernel::commit_checkpoints(const std::string& workspace) {
  {
    Lock lock(state_->mutex);
    if (!state_->checkpointing.insert(workspace).second) return;
  }
  do_behind_answer([state = state_.get(), workspace] { state->run_checkpoints(workspace); });
}

void Kernel::State::run_checkpoints(const std::string& workspace) {
  for (;;) {
    std::optional<Order> order;
    {
      Lock lock(mutex);
      order = next_order(fold, workspace);
      if (!order) {
        checkpointing.erase(workspace);
        return;
      }
    }
    Committing commit(kernel, *order);
    const Result<std::string> made = commit.run();
    if (tell(kernel, *order, commit, made)) continue;
    Lock lock(mutex);
    checkpointing.erase(workspace);
    return;
  }
}

}  // namespace agentfs
