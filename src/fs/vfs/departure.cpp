// SPDX-License-Identifier: MIT
#include "fs/vfs/departure.h"

#include <unistd.h>

#include "base/copy.h"
#include "kernel/kept_entry.h"

namespace agentfs::vfs {
namespace {

// Nobody else may make names in the past's own directories.
bool is_daemon(const TreeCaller& caller) {
  static const uid_t own = ::geteuid();
  return caller.uid == own;
}

}  // namespace

// Nobody writes to it from here on.
void Departure::look(LocalRequest& request, const DataNode& directory, const std::string& name) {
  const LocalRequest::Expected& expected = *request.expected();
  const auto entry = tree_.store().lookup(directory.file(), name);
  if (entry) alone_ = ChangingAlone(tree_.bytes(), *entry->node);
  const auto now = entry ? tree_.store().attributes(*entry->node) : fail_errno(ENOENT, name);
  const auto* const data = dynamic_cast<const DataNode*>(expected.node.get());
  const bool is_it = data != nullptr ? now && entry->node.get() == &data->file() &&
                                           is_as_it_was(expected.attributes, *now)
                                     : !entry;
  if (is_it) return;
  request.note_touched();
  is_expected_ = fail(ESTALE, "{}: another has written there meanwhile", change_.row().path);
}

Result<Hold> told_to(Request& request, const DataNode& directory, Result<Hold> held) {
  if (!held) {
    directory.tree().services().note_error(request.caller(), directory.path(), held.error());
  }
  return held;
}

Departure::Departure(Request& request, const DataNode& directory, const std::string& name,
                     Undertaking& change, bool by_another)
    : tree_(directory.tree()), change_(change) {
  auto* const local = dynamic_cast<LocalRequest*>(&request);
  const bool is_looked_at = local != nullptr && by_another && local->expected();
  if (is_looked_at) look(*local, directory, name);
  if (!is_expected_) return;
  if (local != nullptr && local->taken_back()) {
    change_.row().details = {{"taken_back", *local->taken_back()}};
    return;
  }
  const Region region = region_of(directory.region(), name);
  if (region != Region::plain || !tree_.keeper().is_on()) return;
  const bool is_inner = local != nullptr;
  const std::string& path = change.row().kept_path();
  if (tree_.services().lies_ready(path)) return;
  auto entry = tree_.store().lookup(directory.file(), name);
  if (!entry) return;
  // Before the link, so that nobody ever sees it counted.
  node_ = tree_.ensure(*entry, region);
  node_->hide_links(1);
  if (!is_looked_at) alone_ = ChangingAlone(tree_.bytes(), *entry->node);
  // Another of its names may have gone meanwhile, for which this one was there still.
  if (entry->attributes.st_nlink > 1) {
    const auto now = tree_.store().attributes(*entry->node);
    if (now) entry->attributes = *now;
  }
  const auto move = [&](int there, const std::string& as) {
    return tree_.store().expel(directory.file(), name, there, as, request.tree());
  };
  kept_ = tree_.keeper().keep_name(
      *entry, path, tree_.is_open_for_writing(node_),
      !by_another && is_daemon(request.tree()) ? PastStore::MoveThere(move) : nullptr);
  if (kept_.linked) node_->keep_as({kept_.number, kept_.path});
  if (is_inner && by_another && entry->attributes.st_nlink == 1) replaced_ = node_;
  if (entry->node->type() == S_IFREG && entry->attributes.st_nlink > 1) remaining_ = entry->node;
  if (!kept_.linked) {
    node_->hide_links(-1);
    node_.reset();
  }
  if (!kept_.stored && kept_.number != 0) change_.note_kept(kept_.row);
}

Status Departure::after(Status done) {
  // A tree that shares the file with another has one of its own from its first change on.
  if (done && remaining_ != nullptr && kept_.number != 0) {
    set_identity(kept_.row, tree_.store(), *remaining_);
  }
  if (done && replaced_ != nullptr) replaced_->retire();
  alone_ = {};
  if (done) {
    tree_.order().note_removed();
    return done;
  }
  if (node_ != nullptr && node_->stop_keeping()) node_->hide_links(-1);
  tree_.keeper().take_back(kept_);
  kept_ = {};
  return done;
}

void Departure::tell() {
  if (!kept_.row.is_null()) change_.row().details.emplace_back("kept", std::move(kept_.row));
}

}  // namespace agentfs::vfs
