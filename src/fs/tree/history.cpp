// SPDX-License-Identifier: MIT
// .agentfs of a workspace or home: versions, trash, and what brings them back.
#include "kernel/history.h"

#include <sys/stat.h>

#include "base/clock.h"
#include "base/git_quoted.h"
#include "base/text.h"
#include "fs/tree/changes.h"
#include "fs/tree/tables.h"
#include "fs/tree/whole_trees.h"
#include "kernel/change_feed.h"
#include "kernel/history_keeper.h"
#include "kernel/quota_keeper.h"

namespace agentfs::tree {
namespace {

using vfs::files;
using vfs::line;

const HistoryRoot& root_of(const void* object) { return *static_cast<const HistoryRoot*>(object); }

Result<std::shared_ptr<const HistoryRoot>> find_history(const Caller& caller, const vfs::Key& key) {
  return std::make_shared<const HistoryRoot>(HistoryRoot{caller.kernel, key.at(0)});
}

// --- what is told

std::vector<FileVersionRef> versions_of(const HistoryRoot& root) {
  std::vector<FileVersionRef> versions;
  root.kernel->look_at_history([&](const History& h) {
    versions = h.versions_below(root.path);
    std::erase_if(versions, [&](const FileVersionRef& one) { return h.whole(one) == nullptr; });
  });
  return versions;
}

// "7<1<root (sed)".
std::string author_of(const json::Value& change) {
  std::string out;
  for (const json::Value& pid : *change["by"].array()) out += fmt::format("{}<", pid.number());
  out += change["user"].text();
  const std::string_view command = change["command"].text();
  // A process gives itself any name.
  return command.empty() ? out : fmt::format("{} ({})", out, quoted_for_people(command));
}

// Below the root as it is named there, elsewhere whole. As the verbs take it.
std::string name_in(const HistoryRoot& root, std::string path) {
  if (text::is_below(path, root.path)) path.erase(0, root.path.size() + 1);
  return quoted_for_people(path);
}

// Of a checkpoint, or of an attribute, its name.
std::string details_of(const json::Value& change) {
  std::string out;
  if (const auto name = json::bytes_of(change, "name"); !name.empty()) {
    out += fmt::format(": {}", quoted_for_people(name));
  }
  if (const auto at = json::bytes_of(change, "checkpoint"); !at.empty()) {
    out += fmt::format(": at {}", quoted_for_people(at));
  }
  if (const auto undo = change["undo"].text(); !undo.empty()) {
    out += fmt::format(" ({} undoes it)", undo);
  }
  return out;
}

Result<std::string> show_log(const HistoryRoot& root, const Caller& caller) {
  const Horizon horizon = TRY(root.kernel->history().horizon(caller, root.path));
  std::string out = "# time\tauthor\toperation\tpath\tversion before\n";
  const std::string events = TRY(newest_changes(root.kernel->journal(), root.kernel->changes(),
                                                root.path, horizon.ended.record));
  for (const std::string_view event : text::split(events, '\n')) {
    if (event.empty()) continue;
    const json::Value change = TRY(json::parse(event));
    std::string path = name_in(root, json::bytes_of(change, "path"));
    const auto other = json::bytes_of(change, "other");
    if (!other.empty() && change["op"].text() != "discard") {  // of a fork: whose it was
      // A fork and a merge come from the other one.
      const bool comes = change["op"].text() == "fork" || change["op"].text() == "merge";
      const char* const way = change["exchange"].truth() ? " <-> " : " -> ";
      path = comes ? name_in(root, other) + way + path : path + way + name_in(root, other);
    }
    path += details_of(change);
    if (const auto why = change["unfinished"].text(); !why.empty()) {
      path += fmt::format(": unfinished: {}", why);
    }
    const std::int64_t version = change["version"].number();
    const auto not_kept = change["not_kept"].text();
    const std::string none = not_kept.empty() ? "-" : fmt::format("- ({})", not_kept);
    out +=
        fmt::format("{}\t{}\t{}\t{}\t{}\n", change["time"].text(), author_of(change),
                    change["op"].text(), path, version > 0 ? fmt::format("{:06}", version) : none);
  }
  return out;
}

Result<std::string> show_events(const HistoryRoot& root, const Caller& caller) {
  const Horizon horizon = TRY(root.kernel->history().horizon(caller, root.path));
  return newest_changes(root.kernel->journal(), root.kernel->changes(), root.path,
                        horizon.ended.record);
}

Result<vfs::Unsubscribe> follow_events(const HistoryRoot& root, const Caller& caller,
                                       vfs::Sink sink) {
  const auto may_see = [caller, kernel = root.kernel, path = root.path] {
    return kernel->history().may_see(caller, path);
  };
  TRY(may_see());
  return follow_changes(*root.kernel, root.path, std::move(sink),
                        [may_see] { return may_see().has_value(); });
}

Result<std::string> show_events_since(const void* object, const Caller& caller,
                                      const std::string& sequence) {
  const HistoryRoot& root = root_of(object);
  const Horizon horizon = TRY(root.kernel->history().horizon(caller, root.path));
  return events_since(*root.kernel, root.path, sequence, horizon.ended.record);
}

constinit const vfs::DocumentOperations kSince{.list = list_nothing, .text = show_events_since};

Result<std::string> show_usage(const HistoryRoot& root, const Caller& caller) {
  TRY(root.kernel->history().may_see(caller, root.path));
  std::uint64_t bytes = 0;
  std::size_t contents = 0;
  std::size_t in_trash = 0;
  const std::vector<FileVersionRef> versions = versions_of(root);
  for (const FileVersionRef& version : versions) {
    if (version->in_trash) ++in_trash;
    if (version->type != FileVersion::Type::file) continue;
    bytes += version->held;
    ++contents;
  }
  const std::string held = TRY(QuotaKeeper(*root.kernel).usage(root.path));
  return fmt::format(
      "{}history_bytes\t{}\nhistory_files\t{}\nhistory_versions\t{}\nhistory_trash\t{}\n", held,
      bytes, contents, versions.size(), in_trash);
}

Result<std::string> show_limits(const HistoryRoot& root, const Caller& caller) {
  TRY(root.kernel->history().may_see(caller, root.path));
  return agentfs::show(QuotaKeeper(*root.kernel).of(root.path));
}

Status set_limits(const HistoryRoot& root, const Caller& caller, std::string_view text) {
  return QuotaKeeper(*root.kernel).set_tree(caller, root.path, text);
}

// --- ctl

Result<std::string> restore(const HistoryRoot& root, const Caller& caller, const fcp::Path& path,
                            std::optional<std::uint64_t> version) {
  return root.kernel->history().restore(caller, root.path, path.bytes, version);
}

Result<std::string> drop(const HistoryRoot& root, const Caller& caller, const fcp::Path& path,
                         std::optional<std::uint64_t> version) {
  return root.kernel->history().forget(caller, root.path, path.bytes, version);
}

constexpr auto kVerbs = vfs::verbs<HistoryRoot>({
    vfs::verb<&checkpoint>(
        "checkpoint", "checkpoint NAME",
        "Keeps the whole tree as it is now, at once; in a repository also a commit, "
        "refs/agentfs/checkpoints/NAME, soon after."),
    vfs::verb<&commit>("commit", "commit",
                       "Of an import: makes the directory of the host what this is; see uncommit."),
    vfs::verb<&discard>("discard", "discard NAME",
                        "Removes a fork with all that was done in it, or a checkpoint."),
    vfs::verb<&drop>("drop", "drop PATH [VERSION]",
                     "Forgets a version, or all of a path and below it, for good."),
    vfs::verb<&fork>("fork", "fork NAME [CHECKPOINT]",
                     "Makes a tree beside this one that is what this one is, or was."),
    vfs::verb<&merge>("merge", "merge NAME [partial]",
                      "Takes over what was done in a fork, or in what this is a fork of."),
    vfs::verb<&pin>("pin", "pin",
                    "Of an import: copies what is still read from the directory of the host."),
    vfs::verb<&rebase>("rebase", "rebase [partial]",
                       "Of an import: takes over what has changed in the directory of the host."),
    vfs::verb<&resolve>(
        "resolve", "resolve WHICH SIDE",
        "Ends conflicts of the last merge, one by its number, all, or those of what is "
        "ignored, as ours, theirs or merged."),
    vfs::verb<&restore>("restore", "restore PATH [VERSION]",
                        "Brings back a version, what is in the trash, or else the newest one."),
    vfs::verb<&rollback>("rollback", "rollback NAME",
                         "Makes the whole tree what it was; itself undone by rollback."),
    vfs::verb<&uncommit>("uncommit", "uncommit",
                         "Of an import: takes back in the directory what the last commit made."),
});

constexpr auto kFiles = files<HistoryRoot>({
    {.name = "conflicts",
     .mode = 0555,
     .doc = "NUMBER/: what the last merge left: about, base, ours, theirs and merged.",
     .documents = &kConflicts},
    {.name = "ctl",
     .mode = 0644,
     .doc = "Commands; paths are relative to the workspace or home.",
     .verbs = kVerbs},
    {.name = "diff",
     .mode = 0444,
     .doc = "What was done since the fork, or the newest checkpoint: a patch for git apply.",
     .read = show_diff,
     .slow = true},
    {.name = "events",
     .mode = 0555,
     .doc = "NUMBER: the first 10,000 changes after that record, which outlast events.jsonl.",
     .documents = &kSince,
     .listed = false},
    {.name = "events.jsonl",
     .mode = 0444,
     .doc = "What has changed and who did it, as JSON lines: the newest 200 to 10,000; events has "
            "all.",
     .read = show_events},
    {.name = "follow",
     .mode = 0444,
     .doc = "Changes as they come, as in events.jsonl, until it is gone, or has another name or "
            "owner. Of more than 1 MiB unread the oldest lines go, which one with # tells.",
     .follow = follow_events,
     .listed = false},
    {.name = "forks",
     .mode = 0444,
     .doc = "The family tree: who is a fork of whom, and the checkpoints of each.",
     .read = show_family},
    {.name = "limits",
     .mode = 0644,
     .doc = "What it may hold: bytes=10G inodes=100000 (K to P: powers of 1,024), unlimited for "
            "none. Beyond it: EDQUOT.",
     .read = show_limits,
     .write = set_limits},
    {.name = "log",
     .mode = 0444,
     .doc = "What has changed, who did it and what it was before: as many as in events.jsonl.",
     .read = show_log},
    {.name = "snapshots",
     .mode = 0555,
     .doc = "NAME/: the whole tree as it was at each checkpoint.",
     .list = list_snapshots,
     .view = view_snapshot},
    {.name = "status",
     .mode = 0444,
     .doc = "What differs since the fork, or the newest checkpoint, undo-N last: a path a line.",
     .read = show_status,
     .slow = true},
    {.name = "trash",
     .mode = 0555,
     .doc = "What was removed and is not there now, under the path it had.",
     .documents = &kTrash},
    {.name = "usage",
     .mode = 0444,
     .doc = "What it holds, beside its limits: bytes, inodes; apart from these, its history.",
     .read = show_usage},
    {.name = "versions",
     .mode = 0555,
     .doc = "PATH/NUMBER: what each path held before each change.",
     .documents = &kVersions},
});

Result<std::shared_ptr<const HistoryRoot>> find_below(const Caller& caller, std::string_view top,
                                                      const std::string& name) {
  const std::string path = fmt::format("{}/{}", top, name);
  struct stat found{};
  const std::string host = TRY(caller.kernel->host_path(path));
  if (::lstat(host.c_str(), &found) == 0 && S_ISDIR(found.st_mode)) {
    return std::make_shared<const HistoryRoot>(HistoryRoot{caller.kernel, path});
  }
  return fail(ENOENT, "{}: no such directory", path);
}

Result<std::shared_ptr<const HistoryRoot>> find_home(const Caller& caller, const vfs::Key& key) {
  return find_below(caller, "/home", key.at(0));
}

Result<std::shared_ptr<const HistoryRoot>> find_workspace(const Caller& caller,
                                                          const vfs::Key& key) {
  return find_below(caller, "/workspaces", key.at(0));
}

}  // namespace

const vfs::Directory<HistoryRoot> kHomeHistory("<user>", "What the .agentfs of this home has.",
                                               find_home, kFiles);

const vfs::Directory<HistoryRoot> kWorkspaceHistory("<name>",
                                                    "What the .agentfs of this workspace has.",
                                                    find_workspace, kFiles);

const vfs::Directory<HistoryRoot> kHistoryDirectory(
    "<name>/.agentfs", "What the files of this workspace or home were before: nothing is lost.",
    find_history, kFiles);

}  // namespace agentfs::tree
