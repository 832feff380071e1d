// SPDX-License-Identifier: MIT
#include "kernel/git_upkeep.h"

#include "base/directory.h"
#include "base/file.h"
#include "base/proc_status.h"
#include "base/text.h"
#include "kernel/tree_path.h"

namespace agentfs {
namespace {

// Every git is `git`, whatever it was called by. Its last number is that of its own namespace.
bool is_git(pid_t process, pid_t number) {
  const auto status = file::read(fmt::format("/proc/{}/status", process));
  if (!status || status_field(*status, "Name") != "git") return false;
  const auto numbers = text::words(status_field(*status, "NSpid"));
  return !numbers.empty() && text::number<pid_t>(numbers.back()) == number;
}

}  // namespace

std::optional<pid_t> packing_process(TreeStore& store, const TreeNodeRef& root) {
  const std::string told = read_rules(store, root, ".git/gc.pid").value_or("");
  const auto words = text::words(told);
  // Behind it stands the name of the host.
  const auto number = words.empty() ? std::nullopt : text::number<pid_t>(words.front());
  if (!number) return std::nullopt;
  for (const HostEntry& entry : entries_in("/proc")) {
    const auto process = text::number<pid_t>(entry.name);
    if (process && is_git(*process, *number)) return process;
  }
  return std::nullopt;
}

}  // namespace agentfs
