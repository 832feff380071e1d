// SPDX-License-Identifier: MIT
// checkpoint.commit, and what of it follows forks and renames of a workspace.
#include <algorithm>
#include <array>
#include <optional>

#include "base/text.h"
#include "kernel/fold_rows.h"

namespace agentfs {
namespace {

std::uint64_t number_in(const json::Value& value) {
  return static_cast<std::uint64_t>(value.number());
}

}  // namespace

json::Value to_json(const CheckpointCommits& commits) {
  json::Array earlier;
  for (const CommittedCheckpoint& one : commits.earlier) {
    json::Value value;
    value.set("commit", one.commit).set("state", one.state);
    value.set("made", one.made.value).set("told", one.told.value);
    earlier.push_back(std::move(value));
  }
  json::Array pending;
  for (const auto& [sequence, one] : commits.pending) {
    json::Value value;
    value.set("record", sequence.value).set("state", one.state).set("reached", one.reached.value);
    value.set("author", one.author.value).set("time", one.time);
    json::set_bytes(value, "name", one.name);
    pending.push_back(std::move(value));
  }
  json::Value all;
  all.set("commit", commits.commit).set("reached", commits.reached.value);
  if (!commits.state.empty()) all.set("state", commits.state);
  if (commits.rolled_back.value != 0) all.set("rolled_back", commits.rolled_back.value);
  if (!earlier.empty()) all.set("earlier", std::move(earlier));
  return all.set("pending", std::move(pending));
}

CheckpointCommits checkpoint_commits_from_json(const json::Value& value) {
  CheckpointCommits commits;
  commits.commit = value["commit"].text();
  commits.state = value["state"].text();
  commits.reached = {number_in(value["reached"])};
  commits.rolled_back = {number_in(value["rolled_back"])};
  const json::Array* const earlier = value["earlier"].array();
  for (const json::Value& one : earlier != nullptr ? *earlier : json::Array()) {
    commits.earlier.push_back({.commit = std::string(one["commit"].text()),
                               .state = std::string(one["state"].text()),
                               .made = {number_in(one["made"])},
                               .told = {number_in(one["told"])}});
  }
  const json::Array* const pending = value["pending"].array();
  if (pending == nullptr) return commits;
  for (const json::Value& one : *pending) {
    commits.pending[{number_in(one["record"])}] = {.name = json::bytes_of(one, "name"),
                                                   .state = std::string(one["state"].text()),
                                                   .reached = {number_in(one["reached"])},
                                                   .author = {number_in(one["author"])},
                                                   .time = one["time"].number()};
  }
  return commits;
}

namespace fold {
namespace {

// Of so many paths that a fork's next commit needs the whole tree is read instead.
constexpr std::size_t kMostInherited = 1000;

std::string workspace_in(const json::Value& data, std::string_view member) {
  constexpr std::string_view kRoot = "/workspaces/";
  const std::string path = json::bytes_of(data, member);
  if (!path.starts_with(kRoot) || text::first_parts(path, 2) != path) return {};
  return path.substr(kRoot.size());
}

PathEdit edit_of(const Record& record) {
  const auto& lineage = record.author.lineage;
  return {record.sequence, lineage.empty() ? ProcessId{} : lineage.front()};
}

// Any path of it may differ from its commits.
void note_whole(Fold& fold, const std::string& name, const Record& record) {
  fold.note_change(name, "", edit_of(record));
}

// What has changed since the parent's last commit has changed since then in the fork, too.
bool inherit(Fold& fold, const std::string& name, const std::string& parent) {
  const WorkspaceChanges* const from = fold.find_workspace(parent);
  if (from == nullptr || from->checkpoints.commit.empty()) return false;
  const CheckpointCommits& last = from->checkpoints;
  const auto changed = from->changed.since(last.reached);
  if (changed.size() > kMostInherited) return false;
  WorkspaceChanges& made = fold.edit_workspace(name);
  made.checkpoints = last;
  made.checkpoints.pending.clear();
  fold.mark_checkpoints(name);
  for (const auto& [path, edit] : changed) fold.note_change(name, path, edit);
  return true;
}

void note_commit(CheckpointCommits& commits, Sequence made, Sequence told,
                 std::string_view commit) {
  const PendingCheckpoint& checkpoint = commits.pending.at(made);
  commits.commit = commit;
  commits.state = checkpoint.state;
  commits.reached = checkpoint.reached;
  if (commits.rolled_back <= commits.reached) commits.rolled_back = {};
  auto& earlier = commits.earlier;
  if (earlier.size() == CheckpointCommits::kMostEarlier) earlier.erase(earlier.begin());
  earlier.push_back({std::string(commit), checkpoint.state, made, told});
}

// The record of the checkpoint that a state is, of those whose commits are known or to come.
std::optional<Sequence> made_by(const CheckpointCommits& commits, std::string_view state) {
  for (const auto& [record, one] : commits.pending) {
    if (one.state == state) return record;
  }
  const auto found = std::ranges::find(commits.earlier, state, &CommittedCheckpoint::state);
  if (found == commits.earlier.end()) return std::nullopt;
  return found->made;
}

Status check_commit(const Fold&, json::Value& data) {
  if (!data["workspace"].text().empty() && data["record"].number() > 0) return ok();
  return fail(EINVAL, "checkpoint.commit: without a workspace, or the record of a checkpoint");
}

void apply_commit(Fold& fold, const Record& record) {
  const std::string name = json::bytes_of(record.data, "workspace");
  const WorkspaceChanges* const known = fold.find_workspace(name);
  const Sequence made{number_in(record.data["record"])};
  if (known == nullptr || !known->checkpoints.pending.contains(made)) return;
  CheckpointCommits& commits = fold.edit_workspace(name).checkpoints;
  const std::string_view commit = record.data["commit"].text();
  if (!commit.empty()) note_commit(commits, made, record.sequence, commit);
  commits.pending.erase(made);
  fold.mark_checkpoints(name);
}

constexpr std::array kRows = {Row{kind::kCheckpointCommit, check_commit, apply_commit}};

}  // namespace

std::span<const Row> checkpoint_rows() { return kRows; }

void note_checkpoint(Fold& fold, const Record& record) {
  const std::string name = workspace_in(record.data, "path");
  if (name.empty() || record.data["reached"].is_null()) return;
  fold.edit_workspace(name).checkpoints.pending[record.sequence] = {
      .name = json::bytes_of(record.data, "name"),
      .state = std::string(record.data["state"].text()),
      .reached = {number_in(record.data["reached"])},
      .author = edit_of(record).author,
      .time = record.time};
  fold.mark_checkpoints(name);
}

void note_dropped_checkpoint(Fold& fold, const Record& record) {
  const std::string name = workspace_in(record.data, "path");
  const WorkspaceChanges* const known = fold.find_workspace(name);
  if (known == nullptr || known->checkpoints.pending.empty()) return;
  std::erase_if(fold.edit_workspace(name).checkpoints.pending,
                [&](const auto& one) { return one.second.state == record.data["state"].text(); });
  fold.mark_checkpoints(name);
}

void note_rollback(Fold& fold, const Record& record) {
  const std::string name = workspace_in(record.data, "path");
  const WorkspaceChanges* const known = fold.find_workspace(name);
  if (known == nullptr || known->checkpoints.is_empty()) return;
  CheckpointCommits& commits = fold.edit_workspace(name).checkpoints;
  const auto made = made_by(commits, record.data["state"].text());
  std::erase_if(commits.earlier,
                [&](const CommittedCheckpoint& one) { return !made || one.told > *made; });
  commits.rolled_back = record.sequence;
  fold.mark_checkpoints(name);
}

void note_fork(Fold& fold, const Record& record) {
  const std::string name = workspace_in(record.data, "path");
  const std::string parent = workspace_in(record.data, "other");
  if (name.empty() || parent.empty()) return;
  const bool is_of_now = record.data["checkpoint"].is_null();
  if (!is_of_now || !inherit(fold, name, parent)) note_whole(fold, name, record);
}

MovedCheckpoints take_checkpoints(const Fold& fold, const Record& record) {
  MovedCheckpoints moved{.from = workspace_in(record.data, "path"),
                         .to = workspace_in(record.data, "other")};
  const auto* const from = fold.find_workspace(moved.from);
  const auto* const to = fold.find_workspace(moved.to);
  if (from != nullptr) moved.of_from = from->checkpoints;
  if (to != nullptr) moved.of_to = to->checkpoints;
  return moved;
}

void put_checkpoints(Fold& fold, const Record& record, MovedCheckpoints moved) {
  if (moved.from.empty() || moved.to.empty()) return;
  const bool is_exchange = record.data["exchange"].truth();
  fold.erase_workspace(moved.to);
  const auto put = [&](const std::string& name, CheckpointCommits commits) {
    fold.edit_workspace(name).checkpoints = std::move(commits);
    fold.mark_checkpoints(name);
    note_whole(fold, name, record);
  };
  put(moved.to, std::move(moved.of_from));
  if (is_exchange) put(moved.from, std::move(moved.of_to));
}

}  // namespace fold
}  // namespace agentfs
