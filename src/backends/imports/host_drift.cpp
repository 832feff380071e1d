// SPDX-License-Identifier: MIT
#include "backends/imports/host_drift.h"

#include <algorithm>
#include <map>
#include <set>

#include "backends/imports/host_writer.h"
#include "base/text.h"

namespace agentfs::imports {

Result<HostDirectory> source_of(const ImportRecords& records) {
  HostDirectory host = TRY(HostDirectory::open(records.source()));
  const FileState& was = records.top();
  if (was.inode == 0 || records.count() == 0) return host;
  const bool is_known = is_one_inode(was, TRY(host.look("")));
  if (is_known || !TRY(host.list("")).empty()) return host;
  return fail(ENODEV,
              "{}: is empty, and another directory than was imported; with its disk mounted, or "
              "what was imported back in its place, again would do",
              records.source());
}

namespace {

// The directory that holds the repository which a path is of.
std::string above_git(const std::string& path) {
  std::string_view at = path;
  while (text::last_part(at) != ".git") at = text::parent_part(at);
  return std::string(text::parent_part(at));
}

// Repositories of the directories among these come with them.
Status add_born(const HostDirectory& host, const std::map<std::string, FileState>& made,
                std::vector<HostDrift>& drifts) {
  for (const auto& [path, state] : made) {
    const std::string git = path + "/.git";
    const FileState born = state.is_directory() ? TRY(host.look(git)) : FileState();
    if (!born.is_directory()) continue;
    drifts.push_back({git, FileState(), born});
    for (const auto& [below, there] : TRY(host.walk(true, git))) {
      drifts.push_back({below, FileState(), there});
    }
  }
  return ok();
}

}  // namespace

// What is below a .git is git's, but comes and goes with the directory that holds it.
Result<std::vector<HostDrift>> drift_of_all(const ImportRecords& records, const HostDirectory& host,
                                            bool whole) {
  std::map<std::string, FileState> now = TRY(host.walk(whole));
  std::vector<HostDrift> drifts;
  std::map<std::string, bool> is_there;  // by the directory that holds a repository
  for (auto& [path, recorded] : records.current_at_mark()) {
    if (!whole && is_in_git(path)) {
      now.erase(path);
      const std::string above = above_git(path);
      const auto [known, is_first] = is_there.try_emplace(above, true);
      if (is_first) known->second = above.empty() || TRY(host.look(above)).is_directory();
      if (!known->second) drifts.push_back({path, recorded, FileState()});
      continue;
    }
    const auto found = now.find(path);
    const FileState there = found == now.end() ? FileState() : found->second;
    if (!is_unchanged(recorded, there)) drifts.push_back({path, recorded, there});
    if (found != now.end()) now.erase(found);
  }
  for (const auto& [path, there] : now) drifts.push_back({path, FileState(), there});
  if (!whole) TRY(add_born(host, now, drifts));
  std::ranges::sort(drifts, {}, &HostDrift::path);
  return drifts;
}

Result<std::vector<HostDrift>> drift_of(const ImportRecords& records, const HostDirectory& host,
                                        const std::vector<std::string>& paths) {
  std::vector<HostDrift> drifts;
  for (const std::string& path : records.with_links(paths)) {
    const FileState recorded = records.state(path);
    const FileState there = TRY(host.look(path));
    if (!is_unchanged(recorded, there)) drifts.push_back({path, recorded, there});
  }
  std::ranges::sort(drifts, {}, &HostDrift::path);
  return drifts;
}

namespace {

// Looked at again after it was compared: what somebody writes meanwhile is not of the change.
Result<bool> has_just(const HostDirectory& host, const HostChange& change,
                      const FileState& recorded, const FileState& now) {
  if (is_unchanged(recorded, now) || !TRY(is_made(host, change, now))) return false;
  const bool is_other_file = now.is_regular() && !change.content && !has_same_bytes(recorded, now);
  return !is_other_file && is_unchanged(now, TRY(host.look(change.path)));
}

// No file of the host has it.
FileState state_never_seen(const HostChange& change) {
  FileState state = change.to;
  state.device = state.inode = 0;
  return state;
}

}  // namespace

Result<HostWritten> drift_of_written(const ImportRecords& records, const HostDirectory& host,
                                     const std::vector<HostChange>& changes) {
  const std::set<std::string> written = records.written();
  HostWritten done;
  std::map<std::string, HostDrift> found;
  std::vector<std::string> paths;
  for (const HostChange& change : changes) {
    const FileState recorded = records.state(change.path);
    const FileState now = TRY(host.look(change.path));
    if (!now.exists() && is_anothers_removal(change, recorded, written)) continue;
    const bool is_on_the_way = !now.exists() && must_go(recorded, change);
    if (is_on_the_way || TRY(has_just(host, change, recorded, now))) {
      found[change.path] = {change.path, recorded, now};
      paths.push_back(change.path);
    } else if (written.contains(change.path) && !TRY(is_made(host, change, now))) {
      found[change.path] = {change.path, recorded, state_never_seen(change)};
      done.overtaken.insert(change.path);
    }
  }
  for (const HostDrift& link : TRY(drift_of(records, host, paths))) {
    const bool is_other = !found.contains(link.path);
    if (is_other && has_same_bytes(link.recorded, link.now)) done.links.push_back(link);
  }
  for (auto& [path, drift] : found) done.drifts.push_back(std::move(drift));
  return done;
}

}  // namespace agentfs::imports
