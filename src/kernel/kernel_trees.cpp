// SPDX-License-Identifier: MIT
// The data trees: what was changed in them, and the commits at turn boundaries.
#include <algorithm>
#include <filesystem>
#include <set>

#include "base/log.h"
#include "base/text.h"
#include "kernel/away_paths.h"
#include "kernel/commit_changes.h"
#include "kernel/commit_place.h"
#include "kernel/fold_rows.h"
#include "kernel/forks.h"
#include "kernel/imports.h"
#include "kernel/kernel_state.h"
#include "kernel/paths.h"
#include "kernel/places.h"
#include "kernel/submodules.h"
#include "kernel/tree_path.h"

namespace agentfs {
namespace {

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

// What has happened in a workspace since the last commit of a process there.
struct TurnChanges {
  struct Part {
    std::vector<std::string> paths{};
    std::vector<std::string> unignored{};  // directories, as a commit is told of them
    bool has_index = false;                // and git's index
  };
  Part own;
  Part others;
  std::vector<std::string> other_authors;  // "reviewer (pid 9)"
  Sequence reached;
};

TurnChanges changes_since_turn(const Fold& fold, const std::string& workspace, ProcessId pid) {
  TurnChanges result;
  const WorkspaceChanges* const changes = fold.find_workspace(workspace);
  if (changes == nullptr) return result;
  const auto mark = changes->committed.find(pid);
  const Sequence last = mark == changes->committed.end() ? Sequence{} : mark->second;
  std::set<ProcessId> authors;
  ProcessId of_index;
  for (const auto& [path, change] : changes->changed.since(last)) {
    if (path.empty()) continue;
    TurnChanges::Part& part = change.author == pid ? result.own : result.others;
    part.has_index = part.has_index || path == kIndex;
    if (path == kIndex) {
      of_index = change.author;
      continue;
    }
    part.paths.push_back(path);
    if (change.author != pid) authors.insert(change.author);
  }
  // Who has only told git of what others wrote is named where nobody has written.
  if (authors.empty() && result.others.has_index) authors.insert(of_index);
  for (const ProcessId author : authors) result.other_authors.push_back(author_name(fold, author));
  result.reached = fold.applied();
  return result;
}

void complete_changes(const Kernel& kernel, const std::string& root, TurnChanges& changes) {
  const auto forest = kernel.forks().forest_of(root);
  const auto top = forest ? (*forest)->tree(paths::name_of(root)) : fail(ENOENT, "no forest");
  for (TurnChanges::Part* const part : {&changes.own, &changes.others}) {
    const Status whole =
        top ? complete_changes(**forest, top->node, nullptr, part->paths, part->unignored) : ok();
    if (!whole) log::warning("{}: not all is committed: {}", root, whole.error().message);
  }
}

// What is committed is read on the disk: there a file that was only moved may be lent yet, and
// after a rollback a directory that nobody has looked into be hollow. What is not to be had is left
// out.
void bring(const Kernel& kernel, const std::string& root, std::vector<std::string>& paths) {
  const ImportStore* const imports = kernel.parts().imports;
  const bool may_be_lent = imports != nullptr && !imports->all().empty();
  std::erase_if(paths, [&](const std::string& path) {
    const std::string whole = path.empty() ? root : path_in(root, path);
    const auto found = find_in_mount(kernel, whole);
    const bool is_directory = found && S_ISDIR(found->entry.attributes.st_mode);
    if (!is_directory && !may_be_lent) return false;
    const Status brought = kernel.forks().materialise(whole, true);
    if (brought || brought.error().code == ENOENT) return false;
    log::warning("{}: not committed: {}", whole, brought.error().message);
    return true;
  });
}

struct TurnAway {
  bool is_known = false;
  bool may_be_others = false;  // that the base has, and git's index no more
  AwayNow own{};
  AwayNow others{};
};

// What has changed and is not there, or not all that is below it, perhaps.
Result<std::vector<std::string>> lacking(Places& places, const std::vector<std::string>& changed) {
  std::vector<std::string> paths;
  for (const std::string& path : changed) {
    const struct stat found = TRY(places.look(path));
    if (found.st_nlink == 0 || S_ISDIR(found.st_mode)) paths.push_back(path);
  }
  return paths;
}

Result<TurnAway> find_away(Forest& forest, const TreeNodeRef& top, const TurnChanges& changes) {
  Places places(forest, top);
  // All where a part has changed the index, else what is away of what it has removed.
  const std::vector<std::string> all{""};
  const auto own = changes.own.has_index ? all : TRY(lacking(places, changes.own.paths));
  const auto others = changes.others.has_index ? all : TRY(lacking(places, changes.others.paths));
  if (own.empty() && others.empty()) return TurnAway{.is_known = true};
  const TrackedPaths index = TrackedPaths::of(forest, *top);
  const bool is_sparse = TRY(places.look(".git/info/sparse-checkout")).st_nlink != 0;
  return TurnAway{.is_known = index.is_known(),
                  .may_be_others = is_sparse || !index.away().empty(),
                  .own = TRY(away_in(forest, top, index.away_about(own))),
                  .others = TRY(away_in(forest, top, index.away_about(others)))};
}

// What git keeps from the worktree, where a turn may have changed that; what cannot be known is
// left to who makes the commit.
TurnAway away_after(const Kernel& kernel, const std::string& root, const TurnChanges& changes) {
  const auto forest = kernel.forks().forest_of(root);
  const auto top = forest ? (*forest)->tree(paths::name_of(root)) : fail(ENOENT, "no forest");
  if (!top) return {};
  auto away = find_away(**forest, top->node, changes);
  if (away) return *std::move(away);
  log::warning("{}: not all is committed: {}", root, away.error().message);
  return {};
}

// Two commits where others have been at work there meanwhile: what they did is theirs, and all else
// is not, be it in a directory that is looked at for their rules.
Result<std::string> commit_changes(Repository& repository, TurnCommit& next, const Process& process,
                                   std::uint64_t turn, const TurnChanges& changes,
                                   const TurnAway& away) {
  next.asks_index = !away.is_known;
  const auto add = [&](const TurnChanges::Part& part, const AwayNow& kept) {
    next.changed = part.paths;
    next.changed.insert(next.changed.end(), kept.beside.begin(), kept.beside.end());
    next.unignored = part.unignored;
    next.drops_absent = part.has_index && away.may_be_others;
    next.adds_tracked = part.has_index;
    next.away = kept.paths;
  };
  if (!changes.others.paths.empty() || changes.others.has_index) {
    add(changes.others, away.others);
    next.left = changes.own.paths;
    next.author = changes.other_authors.size() == 1 ? changes.other_authors.front() : "several";
    next.message =
        fmt::format("changes by others before turn {} of {} (pid {})\n\n{}\n", turn, process.name,
                    process.pid.value, text::join(changes.other_authors, ", "));
    TRY(repository.commit(next));
  }
  add(changes.own, away.own);
  next.left.clear();
  next.author = fmt::format("{} (pid {})", process.name, process.pid.value);
  next.message = commit_message(process, turn);
  return repository.commit(next);
}

}  // namespace

std::string author_name(const Fold& fold, ProcessId pid) {
  const ProcessRef process = fold.find(pid);
  if (process == nullptr) return pid ? fmt::format("pid {}", pid.value) : "unknown";
  return fmt::format("{} (pid {})", process->is_init ? process->user : process->name, pid.value);
}

namespace {

// Of the past of a path that was another's workspace before, whoever renames it sees what is their
// own, and takes that along; root and the mount's owner see and take all.
json::Value own_past(const Kernel& kernel, const Caller& caller, const TreeChange& change) {
  json::Value own;
  if (change.operation != "rename" || !paths::is_whole_tree(change.path)) return own;
  const uid_t uid = kernel.user_of(caller);
  if (kernel.is_ruler(uid)) return own;
  kernel.look_at_fold([&](const Fold& fold) {
    const auto version_of = [&](const std::string& path) {
      const auto ended = fold.ended_trees().find(path);
      return ended == fold.ended_trees().end() ? 0 : ended->second.version;
    };
    const std::uint64_t since = version_of(change.path);
    const std::uint64_t other_since = version_of(change.other);
    if (since == 0 && other_since == 0) return;
    own.set("uid", uid).set("since", since).set("other_since", other_since);
  });
  return own;
}

// What was to be committed of a workspace goes along with it.
void commit_of_renamed(Kernel& kernel, const TreeChange& change) {
  for (const std::string& path : {change.path, change.other}) {
    const auto workspace = paths::workspace_of(path);
    if (workspace && paths::is_whole_tree(path)) kernel.commit_checkpoints(*workspace);
  }
}

}  // namespace

Status Kernel::record_change(const Caller& caller, const TreeChange& change) {
  json::Value data;
  json::set_bytes(data, "path", change.path);
  if (!change.other.empty()) json::set_bytes(data, "other", change.other);
  if (change.bytes != 0) data.set("bytes", change.bytes);
  put_details(data, change);
  if (json::Value own = own_past(*this, caller, change); !own.is_null())
    data.set("own", std::move(own));
  if (temporaries().lies_ready(change.path)) data.set("temporary", true);
  const std::string kind = fmt::format("{}{}", kind::kTreePrefix, change.operation);
  // The trees have changed places, and nothing changes them back.
  const bool is_owed = change.operation == "rollback";
  json::Value row = is_owed ? data : json::Value();
  if (const auto told = commit(caller, kind, std::move(data)); !told) {
    if (is_owed) state_->owe({author(caller), kind, std::move(row)});
    return std::unexpected(told.error());
  }
  if (change.operation == "rename") commit_of_renamed(*this, change);
  return ok();
}

Result<std::string> Kernel::commit_turn(ProcessId pid, std::uint64_t turn) {
  State& state = *state_;
  const ProcessRef process = TRY(get_process(pid));
  const std::string workspace = process->workspace;
  if (workspace.empty()) return std::string();
  TurnChanges changes;
  {
    Lock lock(state.mutex);
    // One at a time in a repository; the others wait for their turn without a lock.
    while (state.committing.contains(workspace)) state.changed.wait(lock);
    changes = changes_since_turn(state.fold, workspace, pid);
    if (changes.own.paths.empty() && !changes.own.has_index) return std::string();
    state.committing.insert(workspace);
  }
  TurnCommit next;
  next.worktree = parts().state + "/trees/workspaces/" + workspace;
  next.git_directory = repository_beside(parts().state, workspace);
  next.ref = fmt::format("refs/agentfs/turns/{}", pid.value);
  next.seconds = clock().wall() / 1'000'000'000;
  const std::string root = "/workspaces/" + workspace;
  ready_for_commit(*this, root, next.ref);  // what has changed elsewhere is on the disk already
  complete_changes(*this, root, changes);
  for (TurnChanges::Part* const part : {&changes.own, &changes.others}) {
    bring(*this, root, part->paths);
    bring(*this, root, part->unignored);
  }
  TurnAway away = away_after(*this, root, changes);
  for (AwayNow* const part : {&away.own, &away.others}) bring(*this, root, part->beside);
  const bool has_work = !changes.own.paths.empty() || changes.own.has_index;
  const Result<std::string> made =
      has_work ? commit_changes(*parts().repository, next, *process, turn, changes, away)
               : std::string();
  {
    Lock lock(state.mutex);
    state.committing.erase(workspace);
  }
  state.changed.notify_all();
  if (!made || !has_work) return made;
  json::Value data;
  data.set("pid", pid.value).set("turn", turn).set("commit", *made);
  json::set_bytes(data, "workspace", workspace);
  data.set("ref", next.ref)
      .set("paths", changes.own.paths.size())
      .set("reached", changes.reached.value);
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
    const bool is_hidden = entries->path().filename().native().starts_with(kHiddenTree);
    if (is_own && !is_hidden) names.push_back(entries->path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

Result<std::string> Kernel::host_path(const std::string& path) const {
  const std::string plain = paths::normalise(path);
  if (!paths::is_data(plain)) {
    return fail(ENOENT, "{}: is in no data tree; /home, /workspaces, /src/repos and /tmp are",
                plain);
  }
  // What is not there is found to be so by who uses the path.
  static_cast<void>(forks().materialise(plain, false));
  return parts().state + "/trees" + plain;
}

void Kernel::collect_forests() {
  const Lock alone(state_->collecting);
  imports().drop_unread();
  for (const auto& [root, forest] : state_->parts.forests) {
    const auto freed = forest->collect();
    if (!freed) log::error("{}: room not given back: {}", root, freed.error().message);
  }
}

}  // namespace agentfs
