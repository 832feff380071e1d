// SPDX-License-Identifier: MIT
#include "kernel/fold.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "base/text.h"
#include "kernel/fold_rows.h"
#include "kernel/process_json.h"

namespace agentfs {
namespace {

using RowTable = std::unordered_map<std::string_view, const fold::Row*>;

const RowTable& rows() {
  static const RowTable table = [] {
    RowTable all;
    for (const auto part : {fold::process_rows(), fold::run_rows(), fold::call_rows(),
                            fold::tree_rows(), fold::history_rows(), fold::quota_rows(),
                            fold::conflict_rows(), fold::checkpoint_rows()}) {
      for (const fold::Row& row : part) all.emplace(row.kind, &row);
    }
    return all;
  }();
  return table;
}

const fold::Row* find_row(std::string_view kind) {
  const auto found = rows().find(kind);
  return found == rows().end() ? nullptr : found->second;
}

std::vector<std::string> kinds() {
  std::vector<std::string> names;
  for (const auto& [kind, row] : rows()) names.emplace_back(kind);
  std::ranges::sort(names);
  return names;
}

void add(Usage& sum, const Usage& more) {
  sum.tokens_in += more.tokens_in;
  sum.tokens_out += more.tokens_out;
  sum.tokens_cached += more.tokens_cached;
  sum.micro_usd += more.micro_usd;
  sum.calls += more.calls;
  sum.turns += more.turns;
  sum.wall_ns += more.wall_ns;
  sum.retries += more.retries;
}

}  // namespace

Status Fold::accept(std::string_view kind, json::Value& data) const {
  const fold::Row* row = find_row(kind);
  if (row == nullptr) {
    return fail(EINVAL, "journal: no kind of record ({}){}", text::shown(kind),
                text::did_you_mean(kind, kinds()));
  }
  return row->check == nullptr ? ok() : row->check(*this, data);
}

ProcessId Fold::apply(const Record& record) {
  const fold::Row* row = find_row(record.kind);
  ProcessId subject = fold::pid_of(record.data);
  if (!subject && !record.author.lineage.empty()) subject = record.author.lineage.front();
  const bool has_target = !record.data["pid"].is_null() && record.kind != kind::kProcessSpawn;
  const bool fits = row != nullptr && row->apply != nullptr && (!has_target || find(subject));
  if (fits) row->apply(*this, record);
  if (record.kind.starts_with(kind::kTreePrefix)) fold::note_generations(*this, record);
  if (find(subject) && (fits || find(subject)->state != RunState::dead)) {
    Process& process = edit(subject);
    process.heartbeat = record.time;
    process.changed = record.sequence;
  }
  for (auto& [pid, process] : edited_) {
    if (processes_.contains(pid)) processes_[pid] = std::move(process);
  }
  edited_.clear();
  applied_ = record.sequence;
  return subject;
}

ProcessRef Fold::find(ProcessId pid) const {
  if (const auto edited = edited_.find(pid); edited != edited_.end()) return edited->second;
  const auto found = processes_.find(pid);
  return found == processes_.end() ? nullptr : found->second;
}

Result<ProcessRef> Fold::find_live(ProcessId pid) const {
  ProcessRef process = find(pid);
  if (process == nullptr && pid && pid < next_pid_) {
    return fail(ESRCH, "process {}: has ended and was reaped", pid.value);
  }
  if (process == nullptr) {
    return fail(ENOENT, "process {}: no such process; /proc lists those there are", pid.value);
  }
  if (process->state == RunState::dead) {
    return fail(ESRCH, "process {}: has ended ({}); it can only be read, and reaped", pid.value,
                process->exit_reason);
  }
  return process;
}

ProcessId Fold::init_of(uid_t uid) const {
  const auto found = inits_.find(uid);
  return found == inits_.end() ? ProcessId{} : found->second;
}

const WorkspaceChanges* Fold::find_workspace(const std::string& name) const {
  const auto found = workspaces_.find(name);
  return found == workspaces_.end() ? nullptr : &found->second;
}

std::vector<std::string> Fold::with_pending_checkpoints() const {
  std::vector<std::string> names;
  for (const auto& [name, workspace] : workspaces_) {
    if (!workspace.checkpoints.pending.empty()) names.push_back(name);
  }
  return names;
}

Process& Fold::edit(ProcessId pid) {
  std::shared_ptr<Process>& copy = edited_[pid];
  if (copy == nullptr) {
    copy = std::make_shared<Process>(*processes_.at(pid));
    dirty_.emplace("process", fmt::format("{:012}", pid.value));
  }
  return *copy;
}

void Fold::insert(Process process) {
  const ProcessId pid = process.pid;
  if (process.is_init) inits_[process.uid] = pid;
  next_pid_ = std::max(next_pid_, ProcessId{pid.value + 1});
  processes_[pid] = std::make_shared<const Process>(std::move(process));
  dirty_.emplace("process", fmt::format("{:012}", pid.value));
}

void Fold::erase(ProcessId pid) {
  const ProcessRef process = find(pid);
  for (const MessageRef& message : process->messages) mark_message(pid, message->number);
  for (const CallRef& call : process->calls) mark_call(pid, call->number);
  for (auto& [name, workspace] : workspaces_) {
    if (workspace.committed.erase(pid) != 0) mark_turn(name, pid);
  }
  dirty_.emplace("process", fmt::format("{:012}", pid.value));
  edited_.erase(pid);
  processes_.erase(pid);
}

void Fold::erase_workspace(const std::string& name) {
  const auto found = workspaces_.find(name);
  if (found == workspaces_.end()) return;
  for (const auto& [path, change] : found->second.changed.all()) mark_change(name, path);
  for (const auto& [pid, sequence] : found->second.committed) mark_turn(name, pid);
  if (!found->second.checkpoints.is_empty()) mark_checkpoints(name);
  workspaces_.erase(found);
}

void Fold::mark_message(ProcessId pid, std::uint64_t number) {
  dirty_.emplace("message", fmt::format("{:012}/{:012}", pid.value, number));
}

void Fold::mark_call(ProcessId pid, std::uint64_t number) {
  dirty_.emplace("call", fmt::format("{:012}/{:012}", pid.value, number));
}

void Fold::note_change(const std::string& workspace, const std::string& path,
                       const PathEdit& edit) {
  mark_change(workspace, path);
  for (const std::string& one : workspaces_[workspace].changed.note(path, edit)) {
    mark_change(workspace, one);
    mark_change(workspace, ChangedPaths::top_of(one));
  }
}

void Fold::mark_change(const std::string& workspace, const std::string& path) {
  dirty_.emplace("change", workspace + "/" + path);
}

void Fold::mark_turn(const std::string& workspace, ProcessId pid) {
  dirty_.emplace("turn", fmt::format("{}/{:012}", workspace, pid.value));
}

void Fold::mark_checkpoints(const std::string& workspace) {
  dirty_.emplace("checkpoints", workspace);
}

void Fold::add_version(const FileVersionRef& version) {
  history_.add(version);
  dirty_.emplace("version", fmt::format("{:012}", version->number));
}

void Fold::move_versions(const std::string& from, const std::string& to, bool exchange,
                         const History::Goes& goes) {
  for (const std::uint64_t number : history_.move(from, to, exchange, goes)) {
    dirty_.emplace("version", fmt::format("{:012}", number));
  }
}

void Fold::erase_version(std::uint64_t number) {
  history_.erase(number);
  dirty_.emplace("version", fmt::format("{:012}", number));
}

void Fold::set_quota(const std::string& subject, const Quota& quota) {
  const auto known = quotas_.find(subject);
  if (known == quotas_.end() && !quota.is_set()) return;
  if (quota.is_set()) {
    quotas_[subject] = quota;
  } else {
    quotas_.erase(known);
  }
  dirty_.emplace("quota", subject);
}

void Fold::name_appears(const std::string& path) {
  const std::uint64_t number = history_.appear(path);
  if (number != 0) dirty_.emplace("version", fmt::format("{:012}", number));
}

void Fold::add_refusal(const RefusalRef& refusal) {
  refusals_[refusal->number] = refusal;
  dirty_.emplace("conflict", fmt::format("{:012}", refusal->number));
}

void Fold::erase_refusal(std::uint64_t number) {
  if (refusals_.erase(number) == 0) return;
  dirty_.emplace("conflict", fmt::format("{:012}", number));
}

void Fold::end_tree(const std::string& path, Sequence record) {
  ended_trees_[path] = {.record = record,
                        .version = history_.last(),
                        .refusal = refusals_.empty() ? 0 : refusals_.rbegin()->first};
  dirty_.emplace("ended", path);
}

void Fold::charge(ProcessId pid, const Usage& usage) {
  if (find(pid)) add(edit(pid).usage, usage);
  // A reaped ancestor ends the chain: nobody is left to be charged.
  while (find(pid)) {
    Process& process = edit(pid);
    add(process.subtree, usage);
    pid = process.parent;
  }
}

json::Value Fold::to_json() const {
  json::Value all;
  for (const auto& [pid, process] : processes_) {
    json::Value one = agentfs::to_json(*process);
    json::Array messages;
    json::Array calls;
    for (const MessageRef& message : process->messages)
      messages.push_back(agentfs::to_json(*message));
    for (const CallRef& call : process->calls) calls.push_back(agentfs::to_json(*call));
    one.set("messages", std::move(messages)).set("calls", std::move(calls));
    all.set(std::to_string(pid.value), std::move(one));
  }
  for (const auto& [name, workspace] : workspaces_) {
    json::Value one;
    const std::map ordered(workspace.changed.all().begin(), workspace.changed.all().end());
    for (const auto& [path, change] : ordered) {
      one.set("/" + path, json::Array{change.sequence.value, change.author.value});
    }
    for (const auto& [pid, sequence] : workspace.committed) {
      one.set(std::to_string(pid.value), sequence.value);
    }
    if (!workspace.checkpoints.is_empty()) {
      one.set("checkpoints", agentfs::to_json(workspace.checkpoints));
    }
    if (!one.is_null()) all.set("/" + name, std::move(one));
  }
  json::Array versions;
  for (const auto& [number, version] : history_.all())
    versions.push_back(agentfs::to_json(*version));
  if (!versions.empty()) all.set("versions", std::move(versions));
  for (const auto& [path, ended] : ended_trees_) {
    all.set("ended " + path, json::Array{ended.record.value, ended.version, ended.refusal});
  }
  for (const auto& [subject, quota] : quotas_) {
    all.set("quota " + subject, json::Array{quota.bytes, quota.inodes});
  }
  json::Value generations;
  for (const auto& [path, generation] : generations_.newest(generations_.names())) {
    generations.set(path,
                    json::Array{generation.number.value, generation.time,
                                generation.writer == nullptr ? "" : generation.writer->lineage});
  }
  if (!generations.is_null()) all.set("generations", std::move(generations));
  json::Array conflicts;
  for (const auto& [number, refusal] : refusals_) conflicts.push_back(agentfs::to_json(*refusal));
  if (!conflicts.empty()) all.set("conflicts", std::move(conflicts));
  all.set("next_pid", next_pid_.value).set("applied", applied_.value);
  return all;
}

}  // namespace agentfs
