// SPDX-License-Identifier: MIT
// Data trees that are made, taken away or put in the place of another as a whole.
#include <algorithm>
#include <iterator>
#include <set>

#include "base/log.h"
#include "base/text.h"
#include "fs/vfs/data_file.h"
#include "fs/vfs/data_guard.h"
#include "fs/vfs/file_system_parts.h"

namespace agentfs::vfs {
namespace {

std::set<std::string> names_in(DataNode& directory) {
  const auto names = agentfs::names_in(directory.tree().store(), directory.file());
  if (!names) return {};
  return {names->begin(), names->end()};
}

// Null: the name leads to no directory.
std::shared_ptr<DataNode> directory_in(const DataNode& parent, const std::string& name) {
  const auto entry = parent.tree().store().lookup(parent.file(), name);
  if (!entry || entry->node->type() != S_IFDIR) return nullptr;
  return parent.tree().ensure(*entry, region_of(parent.region(), name));
}

struct Way {
  Staleness end{};  // the name itself, or the first one on the way to it that leads to no directory
  // The first on the way to it that leads to one which nobody has looked up: somebody may have
  // looked for it when it was not there.
  std::optional<Staleness> unknown{};
};

Way way_to(std::shared_ptr<DataNode> directory, std::string_view path,
           const std::function<bool(const Node&)>& is_known) {
  Way way;
  for (;;) {
    const auto slash = path.find('/');
    std::string name(path.substr(0, slash));
    auto next = slash == std::string_view::npos ? nullptr : directory_in(*directory, name);
    if (next == nullptr) {
      way.end = {.directory = std::move(directory), .name = std::move(name)};
      return way;
    }
    if (!way.unknown && !is_known(*next)) {
      way.unknown = {.directory = std::move(directory), .name = std::move(name)};
    }
    directory = std::move(next);
    path.remove_prefix(slash + 1);
  }
}

// Where a file lies; nothing where nobody knows it, or it lies aside.
Staleness place_of(const std::shared_ptr<DataNode>& top, const TreeNode& file) {
  const auto node = top->tree().find(file);
  if (node == nullptr || node->is_aside()) return {};
  const std::string path = node->path();
  if (!text::is_in(path, top->tree().path())) return {};
  const std::string_view below = std::string_view(path).substr(top->tree().path().size() + 1);
  return way_to(top, below, [](const Node&) { return true; }).end;
}

// Of what has the name; 0: nothing.
mode_t type_of(const Staleness& stale) {
  auto& directory = dynamic_cast<DataNode&>(*stale.directory);
  const auto entry = directory.tree().store().lookup(directory.file(), stale.name);
  return entry ? entry->node->type() : 0;
}

// A directory keeps its name for those who work in it, though its attributes are to be asked for
// again.
void keep_name(Staleness& stale) {
  auto itself = directory_in(dynamic_cast<DataNode&>(*stale.directory), stale.name);
  if (itself != nullptr) stale = {.node = std::move(itself)};
}

// Who looked for a directory that was away may believe that there is none; who works in it keeps
// its name, which is only asked for again. Watchers are told that it may be another.
void come_back(Staleness& stale, TreeEvent& change) {
  change.kind = TreeEvent::Kind::attributes;
  stale.node = directory_in(dynamic_cast<DataNode&>(*stale.directory), stale.name);
  stale.is_tree = stale.node != nullptr;
}

// What leads to the tree and to those directories in it, for the host's kernel to ask for.
TreeEvent ways_to(const std::string& root, const std::vector<std::string>& in_it) {
  std::string ways;
  for (const std::string& one : in_it) {
    const std::string path = fmt::format("{}/{}", root, one);
    if (ways.size() + path.size() < kLongestWays) ways += path + '\0';
  }
  return {TreeEvent::Kind::walked, ways.empty() ? root : ways, S_IFDIR};
}

}  // namespace

std::shared_ptr<DataNode> FileSystem::Parts::top_of(const std::string& root) const {
  return std::static_pointer_cast<DataNode>(context->top_of(root));
}

void FileSystem::wait_for_turn() {
  for (const auto& [path, top] : parts_->context->data_roots) {
    const auto& node = static_cast<const DataNode&>(*top);
    (void)node.tree().find(node.file());
  }
}

std::vector<FileSystem::Parts::Writer> FileSystem::Parts::writers_in(
    const std::string& root) const {
  const auto top = top_of(root);
  if (top == nullptr) return {};
  std::vector<Writer> all;
  for (auto& node : top->tree().writers()) {
    std::string path = node->named_path();
    if (text::is_below(path, root)) all.push_back({std::move(path), std::move(node)});
  }
  return all;
}

Status FileSystem::Parts::write_back(const std::string& root) {
  std::vector<Staleness> stale;
  for (Writer& writer : writers_in(root)) stale.push_back({.node = std::move(writer.node)});
  if (stale.empty() || invalidate(stale)) return ok();
  return fail(EBUSY,
              "{}: what programs have stored in files through mappings is still being written, and "
              "would be missing from a state that is kept now; try again",
              text::shown(root));
}

// What the host's kernel writes on its own would reach the other tree, too.
Result<Hold> FileSystem::begin_snapshot(const std::string& path) {
  const auto top = parts_->top_of(path);
  if (top == nullptr) return Hold();
  Hold held = TRY(top->tree().hold_back(path));
  TRY(parts_->write_back(path));
  return held;
}

std::vector<std::string> FileSystem::open_for_writing(const std::string& root) {
  std::vector<std::string> all;
  for (auto& writer : parts_->writers_in(root)) all.push_back(std::move(writer.path));
  return all;
}

Status FileSystem::keep_bytes(const std::string& root, const TreeNode& file, const Keep& keep) {
  const auto top = parts_->top_of(root);
  if (top == nullptr) return Namespace::keep_bytes(root, file, keep);
  DataTree& tree = top->tree();
  const auto node = tree.find(file);
  if (node == nullptr) return Namespace::keep_bytes(root, file, keep);
  const ChangingAlone alone(tree.bytes(), file);
  node->hide_links(1);  // before the link, so that nobody ever sees it counted
  auto kept = keep(tree.is_open_for_writing(node));
  if (!kept || !*kept) node->hide_links(-1);
  if (!kept) return std::unexpected(std::move(kept).error());
  if (*kept) node->keep_as(**std::move(kept));
  return ok();
}

namespace {

// Of a file that is about to lose its names: what was written under them is told of it, what is
// stored through mappings is in it, and none of it is written past the daemon. ESTALE: it is.
Result<Hold> end_writes(DataTree& tree, const std::shared_ptr<DataNode>& node) {
  TRY(node->tell_writes());
  auto held = tree.hold_back(node);
  if (held && tree.write_back(node)) return held;
  return fail(ESTALE, "{}: is being written; again, when that has ended", node->path());
}

}  // namespace

Status FileSystem::exchange(const std::string& root, const TreeNode& file, nlink_t lost,
                            const std::function<Status()>& step) {
  const auto top = parts_->top_of(root);
  if (top == nullptr) return step();
  DataTree& tree = top->tree();
  Staleness place = place_of(top, file);
  std::shared_ptr<DataNode> node = tree.find(file);
  const Hold held = node != nullptr && lost != 0 ? TRY(end_writes(tree, node)) : Hold();
  std::string gone;  // the path that it had, where it has none any more
  {
    const ChangingAlone alone(tree.bytes(), file);
    std::string path = node != nullptr ? node->path() : std::string();
    TRY(step());
    const auto now = tree.store().attributes(file);
    node = tree.find(file);
    const bool has_none = now && now->st_nlink <= lost;
    if (node != nullptr && (lost == 0 || has_none)) node->retire(lost != 0);
    if (lost != 0 && has_none) gone = std::move(path);
  }
  if (!gone.empty()) forget_claims(tree, gone);
  if (node == nullptr || place.directory == nullptr || !node->is_aside()) return ok();
  const auto left = node->status();
  if (!left || left->st_nlink > std::max(lost, nlink_t{1})) return ok();
  place.gone = node;
  Lock lock(parts_->mutex);
  parts_->going[root].push_back(std::move(place));
  return ok();
}

void FileSystem::links_changed(const std::string& root, const std::vector<TreeNodeRef>& files) {
  const auto top = parts_->top_of(root);
  if (top == nullptr) return;
  std::vector<Staleness> stale;
  bool has_gone = false;
  for (const TreeNodeRef& file : files) {
    auto node = top->tree().find(*file);
    if (node == nullptr) continue;
    if (file->type() != S_IFDIR) {
      stale.push_back({.node = std::move(node)});
    } else if (node->named_path().empty()) {
      node->retire();
      has_gone = true;
    }
  }
  if (!stale.empty()) parts_->invalidate(stale);
  if (has_gone) parts_->announce({{TreeEvent::Kind::replaced, root, S_IFDIR}});
}

// Who works in a directory of the state that is over shall be in the one that has its place now.
// The names in it lead elsewhere: all are asked for again. To mark each by itself, as where the
// kernel has no such message, would miss an answer of before that is on its way to who has asked.
void FileSystem::Parts::let_follow(const std::shared_ptr<DataNode>& root, const std::string& path,
                                   const std::vector<std::string>& gone) {
  const Followers followed = root->tree().store().followers(root->file());
  const std::optional<bool> all_expired = expire_all(*root);
  std::set<std::string> at_top;
  if (!all_expired.value_or(true)) {
    at_top = names_in(*root);
    at_top.insert(gone.begin(), gone.end());
  }
  invalidate({{.directory = root, .trees = std::move(at_top)}});
  // Done when this returns: on the way a name leads nowhere for an instant.
  if (all_expired.value_or(false) && gone.size() + followed.names < kSoonPutAway) {
    announce_and_wait({ways_to(path, followed.paths)});
  }
  std::vector<Staleness> stale;  // there may be many, each a call to the kernel
  stale.reserve(followed.directories.size());
  for (const TreeNodeRef& directory : followed.directories) {
    stale.push_back({.directory = root->tree().find(*directory)});
  }
  invalidate_later(stale);
}

// The directory itself keeps its node where it is replaced, for those who work in it; the names
// in it lead elsewhere.
Status FileSystem::replace_tree(const std::string& path, const Exchange& exchange) {
  const auto top = parts_->top_of(path);
  if (top == nullptr) return fail(EINVAL, "{}: not a whole tree", path);
  const std::string name(text::last_part(path));
  const auto find = [&]() -> std::shared_ptr<DataNode> {
    const auto entry = top->tree().store().lookup(top->file(), name);
    return entry ? top->tree().ensure(*entry, Region::plain) : nullptr;
  };
  const std::shared_ptr<DataNode> before = find();
  if (before != nullptr && !top->tree().follows() && parts_->expire_all(*before).value_or(false)) {
    top->tree().follow_rollbacks();
  }
  std::vector<std::string> gone;
  Status told = ok();
  {
    const ChangeOrder::Exchange alone(top->tree().order());
    const auto writers = parts_->writers_in(path);
    TRY(exchange.act(gone));
    top->tree().count_rollback();
    forget_claims(top->tree(), path);
    // They have written to the tree that is over, and write no more to it.
    for (const auto& writer : writers) {
      const Status written = writer.node->tell_writes();
      if (!written) log::error("{}", written.error().message);
    }
    // Who hears of it is to see it.
    if (exchange.tell && before != nullptr) static_cast<void>(parts_->expire_all(*before));
    if (exchange.tell) told = exchange.tell();
  }
  const std::shared_ptr<DataNode> after = find();
  std::vector<Staleness> stale;
  if (before == nullptr || before != after) stale.push_back({top, name, nullptr, true});
  parts_->invalidate(stale);
  if (before != nullptr && before == after) parts_->let_follow(after, path, gone);
  recount(path, true);
  if (before != nullptr && after == nullptr) {
    parts_->announce({{.kind = TreeEvent::Kind::removed, .path = path, .type = S_IFDIR}});
  }
  if (before == nullptr && after != nullptr) {
    parts_->announce_and_wait({{.kind = TreeEvent::Kind::made, .path = path, .type = S_IFDIR}});
  }
  if (before != nullptr) parts_->announce({{TreeEvent::Kind::replaced, path, S_IFDIR}});
  return told;
}

Status FileSystem::between_changes(const std::string& root, const std::function<Status()>& act) {
  const auto top = parts_->top_of(root);
  if (top == nullptr) return act();
  const ChangeOrder::Exchange alone(top->tree().order());
  return act();
}

void FileSystem::quotas_changed(const std::string& subject, const std::string& like) {
  parts_->quotas->reload({.subject = subject, .from = like});
}

void FileSystem::recount(const std::string& path, bool anew) {
  parts_->quotas->recount(path, anew);
}

Result<Holding> FileSystem::holding(const std::string& subject) {
  return parts_->quotas->holding(subject);
}

void FileSystem::await_count(const std::string& subject) { parts_->quotas->await(subject); }

Result<Hold> FileSystem::hold_room(const std::string& path, const Growth& more) {
  return parts_->quotas->hold_room(path, more);
}

// What has come back meanwhile has not gone.
std::vector<Staleness> FileSystem::Parts::take_gone(const std::vector<TreeEvent>& changes) {
  std::vector<Staleness> gone;
  {
    Lock lock(mutex);
    for (const TreeEvent& change : changes) {
      const auto here = going.find(text::first_parts(change.path, 2));
      if (here == going.end()) continue;
      std::ranges::move(here->second, std::back_inserter(gone));
      going.erase(here);
    }
  }
  std::erase_if(gone, [](const Staleness& one) {
    return !dynamic_cast<const DataNode&>(*one.gone).is_aside();
  });
  return gone;
}

void FileSystem::refresh(const std::vector<TreeEvent>& changes) {
  const auto channels = parts_->serving();
  const auto is_known = [&](const Node& node) {
    return std::ranges::any_of(channels, [&](const auto& one) { return one->known(&node) != 0; });
  };
  std::vector<Staleness> stale = parts_->take_gone(changes);
  std::set<std::pair<NodeRef, std::string>> unknown;
  std::vector<TreeEvent> seen;
  for (TreeEvent change : changes) {
    const auto root = std::ranges::find_if(parts_->context->data_roots, [&](const auto& one) {
      return text::is_below(change.path, one.first);
    });
    if (root == parts_->context->data_roots.end()) continue;
    Way way = way_to(std::static_pointer_cast<DataNode>(root->second),
                     std::string_view(change.path).substr(root->first.size() + 1), is_known);
    if (way.unknown && unknown.emplace(way.unknown->directory, way.unknown->name).second) {
      stale.push_back(*std::move(way.unknown));
    }
    stale.push_back(std::move(way.end));
    if (change.type == 0) change.type = type_of(stale.back());
    // By hand nobody writes to a link: another one is made.
    const bool is_written = change.kind == TreeEvent::Kind::written;
    if (is_written && S_ISLNK(change.type)) change.kind = TreeEvent::Kind::made;
    if (change.kind == TreeEvent::Kind::attributes) keep_name(stale.back());
    if (change.kind == TreeEvent::Kind::returned) come_back(stale.back(), change);
    seen.push_back(std::move(change));
  }
  parts_->invalidate(stale);
  parts_->announce(std::move(seen));
}

}  // namespace agentfs::vfs
