// SPDX-License-Identifier: MIT
// What merges, and the ends of commands on overlays, keep others from meanwhile, and the versions
// of what they replace or remove.
#include <sys/stat.h>

#include "base/text.h"
#include "kernel/history_keeper.h"
#include "kernel/imports.h"
#include "kernel/kept_entry.h"
#include "kernel/kernel.h"
#include "kernel/merges.h"
#include "kernel/name_rights.h"
#include "kernel/tree_path.h"

namespace agentfs {
namespace {

// Through a link what is open would go on being written.
Result<KeptFile> keep_file(PastStore& past, const Replaced& what, const std::string& path,
                           bool is_open) {
  KeptFile kept;
  TRY(what.ours.store->use_descriptor(*what.old.node, [&](int file) -> Status {
    kept = is_open ? KeptFile{.number = TRY(past.keep_copy(file, path))}
                   : TRY(past.keep_link(file, path));
    return ok();
  }));
  return kept;
}

}  // namespace

TreeMerger::Exchange Merges::exchange_in(const std::string& root) const {
  return [this, root](const TreeNode& file, nlink_t lost, const std::function<Status()>& step) {
    return kernel_.paths().exchange(root, file, lost, step);
  };
}

namespace {

Status check_names(NameRights& rights, const MergeAction& action) {
  using Kind = MergeAction::Kind;
  const bool stays = action.path == action.ours_path;
  if (stays && (action.kind == Kind::write || action.kind == Kind::set_mode)) {
    return rights.may_reach(action.path);
  }
  if (!action.ours_path.empty()) TRY(rights.may_change(action.ours_path));
  if (stays || action.path.empty()) return ok();
  return rights.may_change(action.path);
}

}  // namespace

// What is made so has the owner of what it replaces, who has not made it; and a directory that is
// closed to who merges gets and loses no name by it.
Status Merges::check_own(const Caller& caller, const TreeSide& ours, const MergePlan& plan) const {
  if (kernel_.is_ruler(kernel_.user_of(caller))) return ok();
  NameRights rights(kernel_, caller, *ours.store, ours.root);
  for (const MergeAction& action : plan.actions) {
    TRY(check_names(rights, action));
    if (action.ours_path.empty()) continue;
    const auto entry = find_in_tree(*ours.store, ours.root, action.ours_path);
    if (!entry && is_absent(entry.error())) continue;
    if (!entry) return std::unexpected(entry.error());
    if (kernel_.history().may_read(caller, entry->attributes)) continue;
    return fail(
        EPERM,
        "{}: is uid {}'s, and would be changed by this merge; root or the mount's owner may "
        "merge it",
        text::shown(action.ours_path), entry->attributes.st_uid);
  }
  return ok();
}

Result<Hold> Merges::hold(const std::string& root) const {
  if (is_half_done(root) && !kernel_.conflicts().is_busy(root)) {
    return fail(EBUSY,
                "{}: the last merge into it is half done, which the next merge or a checkpoint of "
                "it ends; then it can be renamed",
                root);
  }
  if (is_half_done(root) || !kernel_.conflicts().try_to_begin(root)) {
    return fail(EBUSY,
                "{}: a merge, a fork or the like is under way; when it has ended it can be "
                "renamed",
                root);
  }
  auto import = kernel_.imports().hold(root);
  if (!import) {
    kernel_.conflicts().end(root);
    return import;
  }
  return hold_until(
      [&table = kernel_.conflicts(), root, of_import = *std::move(import)] { table.end(root); });
}

// A version of what the merge replaced or removed.
Status Merges::keep(const Caller& caller, const std::string& path, const Replaced& what,
                    RemovedFiles& removed) {
  const auto [ours, old] = what;
  const std::string root(text::first_parts(path, 2));
  const std::string_view below = std::string_view(path).substr(root.size() + 1);
  const bool is_there = find_in_tree(*ours.store, ours.root, below).has_value();
  const bool may_be_known = old.node->type() == S_IFDIR || old.attributes.st_nlink > 1;
  if (may_be_known) removed.linked.push_back(old.node);
  PastStore* const past = kernel_.parts().past;
  if (past == nullptr || !kernel_.history().is_on()) return ok();
  auto kept = kept_without_bytes(*ours.store, old, [past] { return past->next(); });
  if (!kept) kept = TRY(keep_bytes(path, what));
  if (kept->is_null()) return ok();
  if (old.node->type() == S_IFREG) set_identity(*kept, *ours.store, *old.node);
  if (const auto own = static_cast<std::uint64_t>((*kept)["file"].number()); own != 0) {
    kept->set("file", removed.identities.try_emplace(old.attributes.st_ino, own).first->second);
  }
  if (!is_there) kept->set("removed", true);
  TreeChange row{.operation = "replaced", .path = path};
  row.details.emplace_back("kept", *std::move(kept));
  return kernel_.record_change(caller, row);
}

// What was made in it has rows that name it as it lay aside.
Status Merges::come_back(const Caller& caller, const std::string& path, const std::string& name) {
  const std::string root(text::first_parts(path, 2));
  TRY(kernel_.record_change(caller, {.operation = "rename",
                                     .path = fmt::format("{}/{}/{}", root, kMergeDirectory, name),
                                     .other = path,
                                     .details = {{"directory", true}}}));
  kernel_.paths().refresh({{.kind = TreeEvent::Kind::made, .path = path, .type = S_IFDIR}});
  return ok();
}

// Null where nothing is kept.
Result<json::Value> Merges::keep_bytes(const std::string& path, const Replaced& what) const {
  PastStore& past = *kernel_.parts().past;
  const struct stat& was = what.old.attributes;
  const std::uint64_t size = solid_bytes(was);
  if (!S_ISREG(was.st_mode)) return json::Value();
  PastName name{.path = path};
  const auto keep = [&](bool is_open) -> Result<std::optional<PastName>> {
    if (!kernel_.history().why_not_kept(size, is_open).empty()) return std::nullopt;
    const KeptFile kept = TRY(keep_file(past, what, path, is_open));
    name.number = kept.number;
    return kept.is_link ? std::optional(name) : std::nullopt;
  };
  const std::string root(text::first_parts(path, 2));
  const Status kept = kernel_.paths().keep_bytes(root, *what.old.node, keep);
  // The host's, who has it no more.
  if (!kept && kept.error().code == EBUSY) return json::Value();
  TRY(kept);
  return name.number == 0 ? json::Value() : kept_row(name.number, "file", was);
}

}  // namespace agentfs
