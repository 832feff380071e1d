// SPDX-License-Identifier: MIT
#include "fs/tree/changes.h"

#include "base/text.h"
#include "fs/tree/tables.h"
#include "kernel/change_feed.h"
#include "kernel/imports.h"

namespace agentfs::tree {
namespace {

using vfs::files;

Result<std::string> show_all(const Kernel& kernel, const Caller&) {
  return kernel.changes().text({});
}

Result<vfs::Unsubscribe> follow_all(const Kernel& kernel, const Caller&, vfs::Sink sink) {
  return follow_changes(kernel, {}, std::move(sink));
}

Result<std::string> show_all_since(const void* object, const Caller&, const std::string& sequence) {
  return events_since(*static_cast<const Kernel*>(object), {}, sequence);
}

constinit const vfs::DocumentOperations kSince{.list = list_nothing, .text = show_all_since};

Result<std::string> import(const Kernel& kernel, const Caller& caller, const fcp::Path& directory,
                           fcp::As /*word*/, const std::string& name) {
  return kernel.imports().import(caller, directory.bytes, name);
}

constexpr auto kVerbs = vfs::verbs<Kernel>({
    vfs::verb<&import>("import", "import DIRECTORY as NAME",
                       "Makes a workspace of a directory of the host, which is neither copied nor "
                       "touched."),
});

// Unlisted: who walks the whole mount would read each history twice.
constexpr auto kFiles = files<Kernel>({
    {.name = "<name>",
     .mode = 0555,
     .doc = "What the .agentfs of this workspace has: forks, status, diff, log and the rest. Of "
            "one that is named as a file here (README, ctl, events), its .agentfs alone.",
     .directory = &kWorkspaceHistory,
     .list = list_workspaces,
     .listed = false},
    {.name = "ctl", .mode = 0644, .doc = "Commands that make workspaces.", .verbs = kVerbs},
    {.name = "events",
     .mode = 0555,
     .doc = "NUMBER: the first 10,000 changes after that record of the journal, however old.",
     .documents = &kSince,
     .listed = false,
     .is_private = true},
    {.name = "events.jsonl",
     .mode = 0444,
     .doc = "What has changed in all workspaces and homes: the newest, 10,000 at most.",
     .read = show_all,
     .is_private = true},
    {.name = "follow",
     .mode = 0444,
     .doc = "Changes in all workspaces and homes as they come.",
     .follow = follow_all,
     .listed = false,
     .is_private = true},
});

}  // namespace

Result<vfs::Unsubscribe> follow_changes(const Kernel& kernel, const std::string& root,
                                        vfs::Sink sink, ChangeFeed::MayGoOn may_go_on) {
  ChangeFeed& feed = kernel.changes();
  const auto subscription = feed.subscribe(root, std::move(sink), std::move(may_go_on));
  return vfs::Unsubscribe([&feed, subscription] { feed.unsubscribe(subscription); });
}

Result<std::string> events_since(const Kernel& kernel, const std::string& root,
                                 const std::string& sequence, Sequence horizon) {
  const auto after = text::number<std::uint64_t>(sequence);
  if (!after) {
    return fail(ENOENT, "events/{}: not the number of a record; the `seq` of an event is one",
                text::shown(sequence));
  }
  return changes_since(kernel.journal(), std::max(Sequence{*after}, horizon), root);
}

Result<std::vector<vfs::DocumentEntry>> list_nothing(const void*, const Caller&,
                                                     const std::string&) {
  return std::vector<vfs::DocumentEntry>{};
}

const vfs::Directory<Kernel> kWorkspacesDirectory("", "All workspaces.", find_kernel, kFiles);

}  // namespace agentfs::tree
