// SPDX-License-Identifier: MIT
// tree.* and what else is told: which paths of the workspaces have changed.
#include <array>

#include "base/text.h"
#include "kernel/fold_rows.h"
#include "kernel/submodules.h"

namespace agentfs::fold {
namespace {

struct WorkspacePath {
  std::string workspace;
  std::string path;  // below it; "" for itself
};

std::optional<WorkspacePath> split_path(std::string_view path) {
  constexpr std::string_view kRoot = "/workspaces/";
  if (!path.starts_with(kRoot)) return std::nullopt;
  path.remove_prefix(kRoot.size());
  const auto slash = path.find('/');
  WorkspacePath result{.workspace = std::string(path.substr(0, slash)), .path = {}};
  if (slash != std::string_view::npos) result.path = path.substr(slash + 1);
  if (result.workspace.empty()) return std::nullopt;
  return result;
}

void note_change(Fold& fold, std::string_view path, const Record& record) {
  const auto place = split_path(path);
  const std::string noted = place ? noted_change(place->path) : std::string();
  if (noted.empty()) return;
  const auto& lineage = record.author.lineage;
  fold.note_change(place->workspace, noted,
                   {record.sequence, lineage.empty() ? ProcessId{} : lineage.front()});
}

void apply_change(Fold& fold, const Record& record) {
  note_history(fold, record);
  const std::string path = json::bytes_of(record.data, "path");
  note_change(fold, path, record);
  const std::string other = json::bytes_of(record.data, "other");
  note_change(fold, other, record);
}

// "/workspaces/a/src" -> "/workspaces/b/src", where a has become b.
std::string moved(const std::string& path, const std::string& from, const std::string& to) {
  const std::string old = "/workspaces/" + from;
  return text::is_in(path, old) ? "/workspaces/" + to + path.substr(old.size()) : path;
}

// A workspace has another name: who works in it follows.
void follow_rename(Fold& fold, const std::string& from, const std::string& to, bool exchange) {
  std::vector<ProcessRef> all;
  for (const auto& [pid, process] : fold.processes()) all.push_back(process);
  for (const ProcessRef& one : all) {
    const bool is_back = exchange && one->workspace == to;
    const std::string& before = is_back ? to : from;
    const std::string& after = is_back ? from : to;
    const std::string cwd = moved(one->cwd, before, after);
    if (one->workspace != before && cwd == one->cwd) continue;
    Process& process = fold.edit(one->pid);
    if (one->workspace == before) process.workspace = after;
    process.cwd = cwd;
  }
}

// What comes after it under its path is another's to see, but for what was theirs.
void note_end(Fold& fold, const Record& record) {
  for (const std::string& path : trees_ended_by(record)) fold.end_tree(path, record.sequence);
}

// A workspace that is gone, or has another name, takes what was known of its paths with it.
void apply_removal(Fold& fold, const Record& record) {
  apply_change(fold, record);
  note_quotas(fold, record);
  note_end(fold, record);
  const auto place = split_path(json::bytes_of(record.data, "path"));
  if (place && place->path.empty()) fold.erase_workspace(place->workspace);
}

void apply_rename(Fold& fold, const Record& record) {
  MovedCheckpoints moved = take_checkpoints(fold, record);
  apply_removal(fold, record);
  put_checkpoints(fold, record, std::move(moved));
  const auto from = split_path(json::bytes_of(record.data, "path"));
  const auto to = split_path(json::bytes_of(record.data, "other"));
  if (!from || !to || !from->path.empty() || !to->path.empty()) return;
  follow_rename(fold, from->workspace, to->workspace, record.data["exchange"].truth());
}

// What lies at the top stands for all that may have changed below it.
void apply_rollback(Fold& fold, const Record& record) {
  note_rollback(fold, record);
  const json::Array* tops = record.data["tops"].array();
  if (tops == nullptr) return;
  const std::string root = json::bytes_of(record.data, "path");
  for (const json::Value& top : *tops) {
    note_change(fold, fmt::format("{}/{}", root, json::bytes_of(top).value_or("")), record);
  }
}

// Of a whole tree; a checkpoint has a name.
void apply_discard(Fold& fold, const Record& record) {
  if (record.data["name"].text().empty()) return apply_removal(fold, record);
  note_dropped_checkpoint(fold, record);
}

void apply_fork(Fold& fold, const Record& record) {
  note_quotas(fold, record);
  note_fork(fold, record);
}

Status check_path(const Fold&, json::Value& data) {
  if (!data["path"].text().starts_with('/')) {
    return fail(EINVAL, "tree: not a path of the mount ({}); one that begins with / is",
                text::shown(data["path"].text()));
  }
  return ok();
}

// Directories are not in commits; what is in them is.
constexpr std::array kRows = {
    Row{"tree.create", check_path, apply_change},
    Row{"tree.write", check_path, apply_change},
    Row{"tree.remove", check_path, apply_removal},
    Row{"tree.rename", check_path, apply_rename},
    Row{"tree.mkdir", check_path, note_history},
    Row{"tree.link", check_path, apply_change},
    Row{"tree.symlink", check_path, apply_change},
    Row{"tree.mknod", check_path, apply_change},
    Row{"tree.attributes", check_path, apply_change},
    Row{"tree.xattr", check_path, apply_change},
    Row{"tree.open", check_path, apply_change},
    Row{"tree.truncate", check_path, apply_change},
    Row{"tree.fork", check_path, apply_fork},
    Row{"tree.checkpoint", check_path, note_checkpoint},
    Row{"tree.rollback", check_path, apply_rollback},
    Row{"tree.discard", check_path, apply_discard},
    Row{"tree.merge", check_path, nullptr},
    Row{"tree.import", check_path, nullptr},
    Row{"tree.commit", check_path, nullptr},
    Row{"tree.uncommit", check_path, nullptr},
    Row{"tree.rebase", check_path, nullptr},
    Row{"tree.pin", check_path, nullptr},
    Row{"tree.replaced", check_path, apply_change},
    Row{"tree.interrupted", check_path, apply_change},
    Row{kind::kDocumentSave, nullptr, nullptr},
    Row{kind::kDocumentRemove, nullptr, nullptr},
    Row{kind::kControlWrite, nullptr, nullptr},
    Row{kind::kExecBegin, nullptr, nullptr},
    Row{kind::kExecEnd, nullptr, nullptr},
    Row{kind::kStateProblem, nullptr, nullptr},
};

}  // namespace

std::span<const Row> tree_rows() { return kRows; }

}  // namespace agentfs::fold
