// SPDX-License-Identifier: MIT
// What is looked at before anything is written to the directory of an import.
#include <algorithm>
#include <ranges>
#include <set>

#include "backends/imports/host_writer.h"
#include "base/text.h"

namespace agentfs::imports {

// What is to come after something has gone, or to get its permissions.
bool HostWriter::is_half_made(const HostChange& change, const FileState& now) const {
  const FileState recorded = records_.state(change.path);
  if (!now.exists()) return change.to.exists() && must_go(recorded, change);
  const bool is_ours = now.type() == change.to.type() && now.type() != recorded.type();
  return is_ours && !is_renamed_into_place(change) &&
         (now.mode & kPermissions) == (now.is_directory() ? kNewDirectory : kNewFile);
}

// Another name of the file went, or was replaced, by us, and nothing has happened to it since.
bool HostWriter::is_untouched(const FileState& was, const FileState& now) const {
  if (is_unchanged(was, now)) return true;
  const auto ours = relinked_.find(was.inode);
  return ours != relinked_.end() && has_same_bytes(was, now) &&
         ours->second.changed.value_or(now.changed) == now.changed;
}

// What commits leave there keeps the directory that it is in; whatever else is in one that is to
// go must go, too.
Result<bool> HostWriter::holds_what_stays(const std::string& directory,
                                          const std::set<std::string>& staying) {
  bool holds = false;
  for (const auto& [path, is_left] : TRY(host_.list(directory))) {
    const auto found = std::ranges::lower_bound(changes_, path, {}, &HostChange::path);
    const bool goes = found != changes_.end() && found->path == path && !found->to.exists();
    if (goes && !staying.contains(path)) continue;
    if (!goes && !is_left) {
      return fail(EBUSY,
                  "{}: is in a directory that is to be removed, and stays; `rebase` takes it over",
                  host_.shown(path));
    }
    holds = true;
    if (!goes) left_.push_back(path);
  }
  return holds;
}

Status HostWriter::check_removals() {
  std::set<std::string> staying;
  for (const Item& item : items_ | std::views::reverse) {
    const HostChange& change = *item.change;
    if (!item.now.is_directory() || change.to.is_directory()) continue;
    if (!TRY(holds_what_stays(change.path, staying))) continue;
    if (change.to.exists()) {
      return fail(EBUSY,
                  "{}: is not an import's to remove, and in the way of {}, which is no directory "
                  "any more; nothing was written, and moving it away there makes room",
                  host_.shown(left_.back()), host_.shown(change.path));
    }
    staying.insert(change.path);
  }
  std::erase_if(items_, [&](const Item& item) { return staying.contains(item.change->path); });
  return ok();
}

// To be made in, unless it is made itself.
bool HostWriter::has_directory(const std::string& path) const {
  const std::string above(text::parent_part(path));
  if (above.empty() || std::ranges::binary_search(changes_, above, {}, &HostChange::path)) {
    return true;
  }
  const auto state = host_.look(above);
  return state && state->is_directory();
}

Status HostWriter::check() {
  const std::set<std::string> written = records_.written();
  std::set<std::string> changed;
  for (const HostChange& change : changes_) {
    const FileState now = TRY(host_.look(change.path));
    const FileState was = records_.state(change.path);
    if (!TRY(is_made(host_, change, now))) {
      items_.push_back({.change = &change, .now = now});
    } else if (is_anothers_removal(change, was, written)) {
      changed.insert(change.path);
    } else if (!is_unchanged(was, now)) {
      relinked_[was.inode] = {};
    }
  }
  bool has_begun = !relinked_.empty();  // another write() of the same changes, which was cut short
  for (const Item& item : items_) {
    const HostChange& change = *item.change;
    if (change.to.exists() && !has_directory(change.path)) {
      changed.emplace(text::parent_part(change.path));
    }
    if (is_untouched(records_.state(change.path), item.now)) continue;
    if (is_half_made(change, item.now)) {
      has_begun = true;
    } else {
      changed.insert(change.path);
    }
  }
  const std::vector<std::string> moved(changed.begin(), changed.end());
  if (moved.empty()) {
    TRY(check_removals());
    return check_rights();
  }
  return refuse_drift(host_.path(), moved, has_begun ? "nothing more" : "nothing");
}

// Names are changed in the directories of all but what gets a mode alone.
Status HostWriter::check_rights() {
  std::set<std::string> directories;
  for (const Item& item : items_) {
    const HostChange& change = *item.change;
    if (change.to.exists()) TRY(check_readable(host_, change.path, change.to.mode));
    const bool is_named =
        !item.now.exists() || must_go(item.now, change) || is_renamed_into_place(change);
    TRY(check_ours(host_, change.path, is_named));
    if (is_named) directories.emplace(text::parent_part(change.path));
  }
  return rights_.need(directories);
}

}  // namespace agentfs::imports
