// SPDX-License-Identifier: MIT
#include "kernel/imports.h"

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/git_quoted.h"
#include "base/log.h"
#include "base/text.h"
#include "kernel/forks.h"
#include "kernel/history_keeper.h"
#include "kernel/import_mirror.h"
#include "kernel/import_names.h"
#include "kernel/import_order.h"
#include "kernel/import_turn.h"
#include "kernel/kernel.h"
#include "kernel/merge_bases.h"
#include "kernel/merges.h"
#include "kernel/paths.h"
#include "kernel/tree_order.h"

namespace agentfs {

using import_names::id_of;
using import_names::kTop;
using import_names::path_of;
using import_names::tree_of;

Forest& Imports::forest() const { return *kernel_.parts().forests.at(kTop); }
ImportStore& Imports::store() const { return *kernel_.parts().imports; }

std::optional<Imports::Import> Imports::find(const std::string& root) const {
  const ImportStore* const imports = kernel_.parts().imports;
  const bool can_be = imports != nullptr && text::is_in(root, kTop) && !imports->all().empty();
  if (!can_be) return std::nullopt;
  const auto own = forest().info(paths::name_of(root));
  if (!own || !own->base) return std::nullopt;
  const auto of = forest().info(own->base->tree);
  const auto id = of ? id_of(of->name) : std::nullopt;
  if (!id) return std::nullopt;
  return Import{*id, of->name, store().source(*id).value_or("?"), root};
}

Status Imports::may_import(const Caller& caller, const std::string& what) const {
  const ProcessRef process = kernel_.find_process(caller.process);
  if (process != nullptr && !process->is_init) {
    return fail(EPERM,
                "{}: directories of the host are for a person to import, not for an agent "
                "(pid {})",
                text::shown(what), process->pid.value);
  }
  const uid_t uid = kernel_.user_of(caller);
  if (kernel_.is_ruler(uid)) return ok();
  return fail(EPERM,
              "{}: uid {} may not read the host through this mount; who mounted it may "
              "(uid {})",
              text::shown(what), uid, kernel_.parts().owner);
}

Result<Imports::Import> Imports::get(const Caller& caller, const std::string& root) const {
  auto import = find(root);
  if (!import && !kernel_.history().root_attributes(root)) {
    return fail(ESTALE,
                "{}: has gone, or has another name by now; by that name, its .agentfs/ctl would do",
                root);
  }
  if (!import) {
    return fail(EINVAL,
                "{}: is not imported; `import DIRECTORY as NAME` in /sys/workspaces/ctl "
                "makes a workspace that is, and what a fork of one has is committed there, after "
                "`merge`",
                root);
  }
  TRY(may_import(caller, root));
  TRY(kernel_.may_change(caller, root));
  return std::move(*import);
}

Status Imports::check_source(const std::string& source) const {
  const KernelParts& parts = kernel_.parts();
  for (const std::string* ours : {&parts.mountpoint, &parts.state}) {
    std::error_code error;
    // The mountpoint itself is not looked at: that would be a request to ourselves.
    const auto above = std::filesystem::path(*ours).parent_path();
    const auto place =
        std::filesystem::canonical(above, error) / std::filesystem::path(*ours).filename();
    if (error || ours->empty()) continue;
    if (text::is_in(place.native(), source) || text::is_in(source, place.native())) {
      return fail(EDEADLK,
                  "{}: holds {} or lies in it, which waits for itself when it is read; a "
                  "directory beside it would do",
                  text::shown(source), place.native());
    }
  }
  return ok();
}

Result<std::string> Imports::import(const Caller& caller, const std::string& directory,
                                    const std::string& name) {
  if (kernel_.parts().imports == nullptr) return fail(ENOTSUP, "import: not by this kernel");
  TRY(may_import(caller, directory));
  TRY(Forks::check_name(name));
  if (!directory.starts_with('/')) {
    return fail(EINVAL, "{}: not an absolute path; one such as /srv/site would do",
                text::shown(directory));
  }
  TRY(check_source(std::filesystem::path(directory).lexically_normal().native()));
  std::error_code error;
  const std::string source = std::filesystem::canonical(directory, error).native();
  if (error) {
    return fail(error.value(), "{}: {}; a directory of the host that is there would do",
                text::shown(directory), error.message());
  }
  TRY(check_source(source));
  if (!std::filesystem::is_directory(source, error)) {
    return fail(ENOTDIR, "{}: is no directory; one of the host, as {}, would do",
                text::shown(directory),
                text::shown(std::filesystem::path(source).parent_path().native()));
  }
  const std::string root = path_of(name);
  TRY(kernel_.may_change(caller, root));
  if (forest().tree(name)) {
    return fail(EEXIST, "{}: is there already; another name would do", text::shown(root));
  }
  const std::uint32_t id = TRY(store().add(source));
  const Import import{id, tree_of(id), source, root};
  if (Status made = make(caller, import, name); !made) {
    // As long as the tree is there the records are, too, by which the next start finds it.
    const Status dropped = forest().drop(import.tree);
    if (dropped || dropped.error().code == ENOENT) store().remove(id);
    return std::unexpected(std::move(made).error());
  }
  return fmt::format("{} is {}\n", root, text::shown(source));
}

Status Imports::make(const Caller& caller, const Import& import, const std::string& name) {
  const TreeNodeRef tree = TRY(forest().tree(import.tree, true)).node;
  const auto seen = TRY(store().drift(import.id, true));
  TRY(store().record(import.id, seen));
  ImportMirror mirror(forest(), store(), import.id, tree);
  TRY(mirror.apply(seen));
  TRY(mirror.set_root());
  TreeChange row{.operation = "import", .path = import.root};
  json::Value told;
  json::set_bytes(told, "source", import.source);
  row.details = std::move(*told.object());
  row.details.emplace_back("paths", seen.size());
  const StoredOrder order = begin_tree_order(kernel_, caller, row);
  const auto fork = [&](auto&) -> Status {
    TRY(forest().fork(import.tree, name));
    return ok();
  };
  TRY(kernel_.paths().replace_tree(import.root, {fork}));
  if (Status recorded = kernel_.record_change(caller, row); !recorded) {
    TRY(kernel_.paths().replace_tree(import.root, {[&](auto&) { return forest().drop(name); }}));
    return recorded;
  }
  return ok();
}

Status Imports::refresh(const Import& import, const std::vector<HostDrift>& drifts,
                        std::vector<HostChange> written) {
  TRY(store().record(import.id, drifts));
  ImportMirror mirror(forest(), store(), import.id, TRY(forest().tree(import.tree)).node);
  std::vector<std::string> paths;
  for (const HostDrift& drift : drifts) {
    if (!std::ranges::binary_search(written, drift.path, {}, &HostChange::path)) {
      paths.push_back(drift.path);
    }
  }
  mirror.hold(std::move(written));
  TRY(mirror.apply(drifts));
  // The workspace has bytes of its own of these, so nothing else would have what a merge of two
  // later changes begins from; but for what has changed there meanwhile.
  (void)TRY(store().keep(import.id, paths));
  return ok();
}

// --- from the directory

Status Imports::merged(const std::string& tree) {
  const auto id = id_of(paths::name_of(tree));
  return id && text::is_in(tree, kTop) && kernel_.parts().imports ? store().unmark(*id) : ok();
}

// The tree and the records as they were before a rebase that was not made. What it had made of the
// tree stays for as long as its conflicts are read there.
Status Imports::put_back(const Import& import) {
  const auto note = store().marked(import.id);
  if (!note) return ok();
  const ImportMark mark = TRY(ImportMark::parse(*note));
  TRY(store().go_back(import.id));
  const SnapshotId refused = TRY(forest().rollback(import.tree, mark.before, kRefused));
  if (mark.undo.empty()) TRY(kernel_.merges().set_theirs(import.root, refused));
  drop_refused(import);
  return store().unmark(import.id);
}

void Imports::drop_refused(const Import& import) {
  const MergeConflictsRef left = kernel_.merges().conflicts(import.root);
  for (const SnapshotInfo& one : states_of(import)) {
    if (one.label == kRefused && (left == nullptr || left->theirs != one.id)) drop(one.id);
  }
}

// A merge that was made in all but its end is ended, and takes the mark away.
Status Imports::end_half_done(const Import& import) {
  const auto note = store().marked(import.id);
  if (!note) return ok();
  if (const auto order = ImportOrder::parse(*note)) return end_order(import, *order);
  const ImportMark mark = TRY(ImportMark::parse(*note));
  if (!mark.undo.empty()) return end_going_back(import, mark);
  TRY(kernel_.merges().end_half_done(import.root));
  return put_back(import);
}

Result<std::string> Imports::rebase(const Caller& caller, const std::string& root, bool partial) {
  const ImportTurn turn(kernel_.conflicts(), root);
  TRY(turn.check());
  const Import import = TRY(get(caller, root));
  TRY(end_half_done(import));
  TRY(kernel_.merges().check_resolved(root, path_of(import.tree)));
  const auto drifts = TRY(store().drift(import.id, false));
  if (drifts.empty()) return fmt::format("{}: nothing has changed there\n", import.source);
  const std::string tree = path_of(import.tree);
  MergeBases bases(kernel_);
  SnapshotId before;
  {
    // Who settles what discarded trees have left drops a state that no record names yet.
    const MergePause pause(kernel_.conflicts(), root);
    before = TRY(bases.begin(root, tree));
    TRY(bases.set(root, tree, before));
  }
  TRY(store().mark(import.id, ImportMark{before}.note()));
  const auto merged = [&]() -> Result<std::string> {
    TRY(refresh(import, drifts));
    return kernel_.merges().merge(caller, root, import.tree, partial);
  }();
  if (!merged) {
    if (const Status ended = end_half_done(import); !ended) {
      log::warning("{}: a rebase is half done: {}", root, ended.error().message);
    }
    const MergeConflictsRef left = kernel_.merges().conflicts(root);
    const auto own = kernel_.forks().info_of(tree);
    const bool is_ours = left != nullptr && own && left->from == own->number;  // no fork's
    if (partial || merged.error().code != EBUSY || !is_ours || left->left.empty()) return merged;
    return fail(EBUSY,
                "rebase: {} with {}, nothing was changed; {}/.agentfs/conflicts has them, "
                "and `rebase partial` takes what is clean and leaves them to `resolve`",
                text::counted(left->left.size(), "conflict"), import.source, root);
  }
  drop_refused(import);
  return fmt::format("{} of {} taken over: {}", text::counted(drifts.size(), "change"),
                     import.source, *merged);
}

// By the path of the workspace, as their turns are.
Result<Hold> Imports::hold(const std::string& root) const {
  if (!kernel_.conflicts().try_to_begin(import_key(root))) {
    return fail(
        EBUSY,
        "{}: a commit, a rebase or the like is under way between it and its directory; when "
        "that has ended it can be renamed or removed",
        root);
  }
  return hold_until([&table = kernel_.conflicts(), key = import_key(root)] { table.end(key); });
}

// The note goes with the import; it stays where the removal is refused, by whomever.
Result<Hold> Imports::hold_for_removal(const std::string& root) const {
  if (const auto import = find(root); import && is_empty(*import)) {
    const std::string note = unremoved_note(import->id);
    Status noted = file::make_directories(std::string(text::parent_part(note)), 0700);
    if (noted) noted = file::replace(note, "");
    if (!noted) log::warning("{}", noted.error().message);
  }
  return hold(root);
}

Result<std::string> Imports::pin(const Caller& caller, const std::string& root) {
  const ImportTurn turn(kernel_.conflicts(), root);
  TRY(turn.check());
  const Import import = TRY(get(caller, root));
  TRY(end_half_done(import));
  auto [bytes, lost] = TRY(store().keep(import.id, store().lent(import.id)));
  TreeChange row{.operation = "pin", .path = root, .other = {}, .bytes = bytes};
  TRY(kernel_.record_change(caller, row));
  const auto is_git = [](const std::string& path) { return paths::is_in_repository("/" + path); };
  const auto objects = static_cast<std::size_t>(std::ranges::count_if(lost, is_git));
  std::erase_if(lost, is_git);
  if (!lost.empty()) {
    return fail(EBUSY,
                "{}: changed there since it was last looked at: {}; {} bytes of the rest were "
                "copied, `rebase` takes these changes over, and `pin` after it copies them",
                import.source, text::shown_some(lost), bytes);
  }
  std::string answer =
      fmt::format("{} bytes of {} copied; it may change now\n", bytes, import.source);
  if (objects == 0) return answer;
  return answer + fmt::format(
                      "{} of its repository {} gone there, as after a `gc`; `git fsck` here "
                      "names what is missing\n",
                      text::counted(objects, "file"), objects == 1 ? "is" : "are");
}

// --- what is told

TreeNodeRef Imports::base(const std::string& root) const {
  const auto import = find(root);
  if (!import) return nullptr;
  if (const auto note = store().marked(import->id)) {
    const auto order = ImportOrder::parse(*note);
    const auto mark = order ? ImportMark{order->start} : ImportMark::parse(*note);
    auto was = mark ? forest().snapshot_root(mark->before) : std::unexpected(mark.error());
    return was ? std::move(*was) : nullptr;
  }
  auto tree = forest().tree(import->tree);
  return tree ? std::move(tree->node) : nullptr;
}

Result<std::string> Imports::drift(const std::string& root) const {
  const auto import = find(root);
  if (!import) return std::string();
  const auto drifts = store().drift(import->id, false);
  if (!drifts) return fmt::format("!\t{}\n", drifts.error().message);
  std::string out;
  for (const HostDrift& one : *drifts) {
    if (paths::is_in_repository("/" + one.path)) continue;  // its directory came or went
    out += fmt::format("!\t{}\t{} in {}\n", git_quoted(one.path),
                       !one.now.exists()        ? "removed"
                       : !one.recorded.exists() ? "added"
                                                : "changed",
                       git_quoted(import->source));
  }
  return out;
}

std::vector<Imports::HiddenTree> Imports::hidden_trees() const {
  const std::vector<TreeInfo> all = forest().family();
  std::vector<HiddenTree> found;
  for (const std::uint32_t id : store().all()) {
    Import import{id, tree_of(id), store().source(id).value_or("?"), ""};
    if (!forest().tree(import.tree)) continue;
    const auto own = std::ranges::find(all, import.tree, &TreeInfo::name);
    const bool was_forked = own != all.end();
    const auto reader = std::ranges::find_if(all, [&](const TreeInfo& info) {
      return was_forked && !info.name.empty() && info.base && info.base->tree == own->number;
    });
    if (reader != all.end()) import.root = path_of(reader->name);
    found.push_back({std::move(import), was_forked});
  }
  return found;
}

// One that nobody reads. It stays while there are trees that cannot be read: nobody knows what
// those read.
Status Imports::drop_hidden(const std::string& tree) const {
  const auto is_known = [&](const std::string& name) { return forest().tree(name).has_value(); };
  const auto names = TRY(names_in(forest(), *forest().root()));
  if (!std::ranges::all_of(names, is_known)) return ok();
  if (const auto id = id_of(paths::name_of(tree))) (void)file::remove(unremoved_note(*id));
  return forest().drop(tree);
}

Status Imports::settle() {
  if (kernel_.parts().imports == nullptr) return ok();
  TRY(store().settle());
  for (const HiddenTree& one : hidden_trees()) {
    const Status settled = one.is_read() ? settle_one(one.import) : drop_hidden(one.import.tree);
    if (!settled) log::error("import {}: {}", one.import.id, settled.error().message);
  }
  return ok();
}

void Imports::drop_unread() {
  if (kernel_.parts().imports == nullptr || store().all().empty()) return;
  for (const HiddenTree& one : hidden_trees()) {
    if (one.is_read() || !one.was_forked) continue;
    const Status dropped = drop_hidden(one.import.tree);
    if (!dropped) log::warning("import {}: {}", one.import.id, dropped.error().message);
  }
}

// Merges were settled before: one that is left could not be.
Status Imports::settle_one(const Import& import) {
  const auto note = store().marked(import.id);
  if (note && !ImportOrder::parse(*note) && kernel_.merges().is_half_done(import.root)) {
    return fail(EBUSY, "{}: a rebase is half done", import.root);
  }
  TRY(end_half_done(import));
  drop_refused(import);
  drop_bases(import);
  drop_leftovers(import);
  return ok();
}

}  // namespace agentfs
