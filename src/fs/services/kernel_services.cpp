// SPDX-License-Identifier: MIT
#include "fs/services/kernel_services.h"

#include "base/log.h"
#include "base/text.h"
#include "kernel/configuration.h"
#include "kernel/error_log.h"
#include "kernel/history_keeper.h"
#include "kernel/imports.h"
#include "kernel/kinds.h"
#include "kernel/leftovers.h"
#include "kernel/merges.h"
#include "kernel/metrics.h"
#include "kernel/paths.h"
#include "kernel/refused_writes.h"
#include "kernel/stale_writes.h"

namespace agentfs {
namespace {

// For commits under way: meanwhile the host's kernel keeps all others from the directory that has
// the tree.
constexpr std::chrono::milliseconds kLongestHold{1'000};

}  // namespace

void KernelServices::note_error(const Caller& caller, std::string_view path, const Error& error) {
  // A tool's own operations fail with its call, which is told of once, by the gate.
  const bool is_of_call = caller.host.pid == 0 && caller.via.starts_with("call:");
  if (!is_of_call) kernel_.errors().add(caller.process, path, error);
  kernel_.metrics().count("agentfs_errors_total",
                          fmt::format("errno=\"{}\"", errno_name(error.code)));
}

Status KernelServices::record_control(const Caller& caller, const std::string& path,
                                      std::string_view words) {
  constexpr std::size_t kKept = 1024;
  json::Value data = json::Object{{"path", path}, {"bytes", words.size()}};
  data.set("text", text::to_utf8(text::prefix(words, kKept)));
  TRY(kernel_.commit(caller, std::string(kind::kControlWrite), std::move(data)));
  return ok();
}

// A process is its owner's, with all that is below it, and so is what it was not let write; what a
// workspace or home has of its past is that of who has the directory.
std::optional<vfs::FileOwner> KernelServices::owner_of(std::string_view path) {
  constexpr std::string_view kHistories = "/.agentfs";
  const bool is_history = path.starts_with(kHistories);
  const std::string root(text::first_parts(path.substr(is_history ? kHistories.size() : 0), 2));
  if (!root.empty() && kernel_.parts().forests.contains(paths::top_of(root))) {
    const auto its = kernel_.history().root_attributes(root);
    return its ? std::optional(vfs::FileOwner{its->st_uid, its->st_gid}) : std::nullopt;
  }
  constexpr std::string_view kProcesses = "/proc/";
  constexpr std::string_view kConflicts = "/sys/conflicts/";
  const bool is_conflict = path.starts_with(kConflicts);
  if (!is_conflict && !path.starts_with(kProcesses)) return std::nullopt;
  path.remove_prefix(is_conflict ? kConflicts.size() : kProcesses.size());
  const auto number = text::number<std::uint64_t>(path.substr(0, path.find('/')));
  if (!number) return std::nullopt;
  const ProcessRef process = kernel_.find_process(
      is_conflict ? kernel_.refused_writes().process_of(*number) : ProcessId{*number});
  if (process == nullptr || process->uid == kernel_.parts().owner) return std::nullopt;
  const HostCaller owner = kernel_.agent(process->pid).host;
  return vfs::FileOwner{owner.uid, owner.gid};
}

WriteGuard* KernelServices::guard() { return &kernel_.stale_writes(); }

bool KernelServices::keeps_history() { return kernel_.history().is_on(); }

bool KernelServices::was_left_ready(const std::string& path) {
  return kernel_.temporaries().was_removed(path);
}

bool KernelServices::lies_ready(const std::string& path) {
  return kernel_.temporaries().lies_ready(path);
}

std::string KernelServices::why_not_kept(std::uint64_t size, bool by_copy) {
  return kernel_.history().why_not_kept(size, by_copy);
}

json::Value KernelServices::recovered(const std::string& path) {
  return kernel_.history().recovered(path);
}

std::uint64_t KernelServices::trashed(const std::string& path) {
  FileVersionRef version;
  kernel_.look_at_history([&](const History& history) { version = history.trashed(path); });
  return version == nullptr ? 0 : version->number;
}

// History is given up before a removal is refused.
bool KernelServices::is_tree_busy(const std::string& root) {
  return kernel_.conflicts().is_busy(root);
}

Result<Hold> KernelServices::hold_tree(const std::string& root) {
  // What else waits for commits tells the host's kernel of names beside this one, which it has
  // locked meanwhile: that is over, or refused here, before a commit is waited for.
  const Hold merges = TRY(kernel_.merges().hold(root));
  const Hold commits = TRY(kernel_.hold_commits(root, kLongestHold));
  return hold_until([merges, commits] {});
}

Result<Hold> KernelServices::hold_import(const std::string& root) {
  return kernel_.imports().hold_for_removal(root);
}

Status KernelServices::check_room(bool makes_room) {
  Status room = kernel_.journal().check_room(makes_room);
  while (!room && makes_room) {
    const auto gone = kernel_.history().give_way();
    if (!gone || *gone == 0) break;
    room = kernel_.journal().check_room(makes_room);
  }
  return room;
}

void KernelServices::make_room() {
  const auto gone = kernel_.history().empty(false);
  if (!gone) log::error("history: not emptied: {}", gone.error().message);
}

void KernelServices::count(std::string_view session, std::string_view operation) {
  fmt::memory_buffer labels;  // on the stack: this is for each request
  for (const std::string_view part :
       {std::string_view("session=\""), session, std::string_view("\",operation=\""), operation,
        std::string_view("\"")}) {
    labels.append(part);
  }
  kernel_.metrics().count("agentfs_fuse_operations_total", {labels.data(), labels.size()});
}

void KernelServices::feature(std::string_view name, bool on) {
  kernel_.metrics().set("agentfs_fuse_feature", fmt::format("feature=\"{}\"", name), on ? 1 : 0);
}

Status KernelServices::begin_temporary(const std::string& path) {
  return kernel_.temporaries().begin(path);
}

void KernelServices::end_temporary(const std::string& path) { kernel_.temporaries().end(path); }

void KernelServices::follow_temporaries(const std::string& from, const std::string& to,
                                        bool is_exchange) {
  kernel_.temporaries().follow(from, to, is_exchange);
}

}  // namespace agentfs
