// SPDX-License-Identifier: MIT
// The data trees: what was changed in them, and the commits at turn boundaries.
#include <algorithm>
#include <filesystem>

#include "base/text.h"
#include "kernel/kernel_state.h"
#include "kernel/paths.h"

namespace agentfs {
namespace {

// JSON carries text only: a path that is none goes beside it as hex.
void set_path(json::Value& data, const std::string& name, const std::string& path) {
  data.set(name, path);
  if (!text::is_utf8(path)) data.set(name + "_hex", text::hex(path));
}

std::string first_line(const std::string& text) {
  return std::string(text::prefix(text.substr(0, text.find('\n')), 200));
}

// "turn 3 of fixer (pid 7)" and what the user had asked for.
std::string commit_message(const Process& process, std::uint64_t turn) {
  std::string message =
      fmt::format("turn {} of {} (pid {})\n", turn, process.name, process.pid.value);
  for (const MessageRef& said : process.messages) {
    if (said->run != process.run.number || said->role != Message::Role::user) continue;
    return message + "\n" + first_line(said->text) + "\n";
  }
  return message;
}

}  // namespace

Status Kernel::record_change(const Caller& caller, const TreeChange& change) {
  json::Value data;
  set_path(data, "path", change.path);
  if (!change.other.empty()) set_path(data, "other", change.other);
  if (change.bytes != 0) data.set("bytes", change.bytes);
  for (const auto& [name, value] : change.details) data.set(name, value);
  TRY(commit(caller, fmt::format("{}{}", kind::kTreePrefix, change.operation), std::move(data)));
  return ok();
}

Result<std::string> Kernel::commit_turn(ProcessId pid, std::uint64_t turn) {
  State& state = *state_;
  const ProcessRef process = TRY(get_process(pid));
  const std::string workspace = process->workspace;
  if (workspace.empty()) return std::string();
  TurnCommit commit_of_turn;
  Sequence reached;
  {
    Lock lock(state.mutex);
    // One at a time in a repository; the others wait for their turn without a lock.
    while (state.committing.contains(workspace)) state.changed.wait(lock);
    const WorkspaceChanges* changes = state.fold.find_workspace(workspace);
    if (changes == nullptr) return std::string();
    const auto mark = changes->committed.find(pid);
    const Sequence last = mark == changes->committed.end() ? Sequence{} : mark->second;
    for (const auto& [path, sequence] : changes->changed) {
      if (sequence > last) commit_of_turn.changed.push_back(path);
    }
    if (commit_of_turn.changed.empty()) return std::string();
    reached = state.fold.applied();
    state.committing.insert(workspace);
  }
  commit_of_turn.worktree = parts().state + "/trees/workspaces/" + workspace;
  commit_of_turn.git_directory = parts().state + "/git/" + workspace + ".git";
  commit_of_turn.ref = fmt::format("refs/agentfs/turns/{}", pid.value);
  commit_of_turn.message = commit_message(*process, turn);
  commit_of_turn.author = fmt::format("{} (pid {})", process->name, pid.value);
  commit_of_turn.seconds = clock().wall() / 1'000'000'000;
  const Result<std::string> made = parts().repository->commit(commit_of_turn);
  {
    Lock lock(state.mutex);
    state.committing.erase(workspace);
  }
  state.changed.notify_all();
  if (!made) return made;
  json::Value data;
  data.set("pid", pid.value).set("workspace", workspace).set("turn", turn).set("commit", *made);
  data.set("ref", commit_of_turn.ref).set("paths", commit_of_turn.changed.size());
  data.set("reached", reached.value);
  TRY(commit(agent(pid), std::string(kind::kTurnCommit), std::move(data)));
  return made;
}

std::vector<std::string> Kernel::workspaces() const {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator entries(parts().state + "/trees/workspaces", error);
  for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    std::error_code ignored;
    // A link is none, wherever it leads: what commands see of it would not be the mount's.
    const bool is_own =
        entries->symlink_status(ignored).type() == std::filesystem::file_type::directory;
    if (is_own) names.push_back(entries->path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

Result<std::string> Kernel::host_path(const std::string& path) const {
  const std::string plain = paths::normalise(path);
  if (!paths::is_data(plain)) {
    return fail(ENOENT, "{}: is in no data tree; /home, /workspaces and /tmp are", plain);
  }
  return parts().state + "/trees" + plain;
}

}  // namespace agentfs
