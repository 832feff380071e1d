// SPDX-License-Identifier: MIT
#include "fs/vfs/file_system.h"

#include <algorithm>
#include <atomic>
#include <future>

#include "base/cpus.h"
#include "base/log.h"
#include "base/text.h"
#include "base/waiting.h"
#include "fs/vfs/data_file.h"
#include "fs/vfs/file_system_parts.h"
#include "fs/vfs/history_node.h"
#include "fs/vfs/synthetic_directory.h"

namespace agentfs::vfs {
namespace {

// The table of the `.agentfs` directories of a tree hangs on the tree's row; /tmp has none.
const DirectoryType* history_of(const DirectoryType& root, std::string_view path) {
  for (const RowInfo& row : root.rows()) {
    if (row.kind == Kind::data && path.substr(1) == row.name) return row.child;
  }
  return nullptr;
}

// Of a link itself, wherever that leads.
Result<struct stat> walk_to(Request& request, const ContextRef& context, const std::string& path) {
  for (const auto& [top, root] : context->data_roots) {
    if (!text::is_below(path, top)) continue;
    const std::string_view below = std::string_view(path).substr(top.size() + 1);
    const NodeRef parent = TRY(walk_data(request, root, std::string(text::parent_part(below))));
    return TRY(parent->lookup(request, std::string(text::last_part(below)))).attributes;
  }
  return fail(ENOENT, "{}: in no data tree", path);
}

Caller owner_of(const Context& context) {
  Caller owner;
  owner.host.uid = context.owner;
  owner.host.gid = context.group;
  return owner;
}

// The rows of what was written to files that a dead daemon left open, by those who had them open.
// Looked at with the daemon's own rights: a directory may have been closed to its author since.
void account_for(const ContextRef& context, const BypassedFiles& files) {
  LocalRequest request(owner_of(*context));
  for (const BypassedFiles::File& file : files.left_behind()) {
    // What lay ready is told by the rename to its place, which has a note of its own.
    if (context->services.lies_ready(file.path)) continue;
    const auto found = walk_to(request, context, file.path);
    // Removed since, or renamed: that has rows of its own.
    const bool is_there = found && found->st_ino == file.inode;
    if (!is_there && !file.is_written) continue;
    struct stat now{};
    if (is_there) now = *found;
    const auto change = BypassedFiles::change_of(file, now);
    if (!change) continue;
    TreeChange row = change->row(file.path);
    row.details.emplace_back("found_at_start", true);
    json::Value kept = context->services.recovered(file.path);
    if (!kept.is_null()) row.details.emplace_back("kept", std::move(kept));
    const Status told = context->services.record_change(file.author, row);
    if (!told) log::error("{}", told.error().message);
  }
}

// A name that was there before the change and is not, since when nobody had the mount, tells that
// it was made. What is nobody's yet is told of as in any other row, so that what was known of the
// name goes where it went.
bool shows_that_it_was_made(TreeChange& row, bool is_gone, const Result<struct stat>& there) {
  if (!is_gone) return false;
  if (row.operation == "remove") return text::first_parts(row.path, 2) == row.path;
  if (row.operation != "rename" || !there) return false;
  if (S_ISDIR(there->st_mode)) row.details.emplace_back("directory", true);
  return true;
}

// A change whose row a dead daemon did not come to: whether it was made is not always known.
// What it took away is gone with the name that it took away, or moved. It was nobody's version yet,
// so its number may be another's by now, of what the start has ended before.
void account_for(const ContextRef& context, UnderWay& changes, PastStore* past) {
  LocalRequest request(owner_of(*context));
  for (const UnderWay::Left& left : changes.left_behind()) {
    TreeChange row = left.change;
    const auto found = walk_to(request, context, row.path);
    // What lay ready still has gone nowhere: the start has removed it.
    const bool is_gone =
        !found && found.error().code == ENOENT && !context->services.was_left_ready(row.path);
    if (!left.kept.is_null() && is_gone) {
      json::Value kept = left.kept;
      if (past != nullptr) kept.set("number", past->next());
      if (row.kept_path() != row.path) json::set_bytes(kept, "path", row.kept_path());
      if (row.operation == "remove") kept.set("removed", true);
      row.details.emplace_back("kept", std::move(kept));
    }
    const auto there = walk_to(request, context, row.kept_path());
    if (shows_that_it_was_made(row, is_gone, there)) {
      row.details.emplace_back("found_at_start", true);
    } else {
      if (there) row.details.emplace_back("there", true);
      row.details.emplace_back("generation", true);  // a condition is not to hold for nothing
      row.details.emplace_back("of", std::exchange(row.operation, "interrupted"));
    }
    if (const Status told = context->services.record_change(left.author, row)) {
      changes.end(left.slot);
    } else {
      log::error("{}", told.error().message);
    }
  }
}

}  // namespace

FileSystem::FileSystem(FileSystemParts parts) {
  auto context = std::make_shared<Context>(*parts.services, parts.owner, parts.group, parts.shared);
  context->versions.remember(parts.times);
  const auto quotas = std::make_shared<QuotaTable>(*parts.services);
  const auto bypassed = std::make_shared<BypassedFiles>(std::move(parts.open_files));
  const auto under_way = std::make_shared<UnderWay>(parts.under_way);
  // What the disk takes back of one tree it gives to another, while the first may show a file by
  // the number still. The last, the workspaces, have the disk's own numbers. All fit into a double,
  // which is what programs of JavaScript compare.
  constexpr unsigned kTreeBits = 50;
  std::uint64_t others = parts.trees.size();
  for (const auto& [path, store] : parts.trees) {
    const DirectoryType* const history = history_of(*parts.root, path);
    PastStore* const past = history != nullptr ? parts.past : nullptr;
    context->data_roots[path] = make_data_root(*parts.services, *store,
                                               {.path = path,
                                                .numbers = --others << kTreeBits,
                                                .past = past,
                                                .bypassed = bypassed,
                                                .under_way = under_way,
                                                .quotas = quotas});
    set_history(*context->data_roots[path], {context, history});
  }
  account_for(context, *under_way, parts.past);
  account_for(context, *bypassed);
  bypassed->start();
  NodeRef root = ensure_directory(context, *parts.root, {}, "/", S_IFDIR | 0755U);
  parts_ = std::make_unique<Parts>(std::move(context), std::move(root));
  parts_->past = parts.past;
  for (const auto& [path, root] : parts_->context->data_roots) {
    const auto look_again = [to = parts_.get()](const NodeRef& parent, const std::string& name) {
      to->invalidate_later({{.directory = parent, .name = name}});
    };
    DataTree& tree = dynamic_cast<DataNode&>(*root).tree();
    tree.set_look_again(look_again);
    tree.set_drop_bytes(
        [to = parts_.get()](const NodeRef& file) { return to->invalidate({{.node = file}}); });
  }
  for (const auto& [path, store] : parts.trees) {
    if (parts_->most_nodes == 0) parts_->most_nodes = store->most_nodes();
  }
  parts_->quotas = quotas;
  quotas->reload();
}

// Nodes hold the context, and the context holds some of them: what it holds goes first.
FileSystem::~FileSystem() {
  parts_->quotas->stop();
  parts_->context->versions.clear();
  parts_->context->scratch.clear();
  parts_->context->data_roots.clear();
}

NodeRef FileSystem::root() const { return parts_->root; }

std::shared_ptr<Channel> FileSystem::open_channel() {
  auto channel = std::make_shared<Channel>(parts_->root);
  if (parts_->most_nodes != 0) {
    EventLoop& loop = parts_->context->services.loop();
    channel->limit_nodes(parts_->most_nodes, [weak = std::weak_ptr(channel), &loop] {
      loop.post([weak] {
        if (const auto crowded = weak.lock()) crowded->prune();
      });
    });
  }
  Lock lock(parts_->mutex);
  std::erase_if(parts_->channels, [](const auto& known) { return known.expired(); });
  parts_->channels.push_back(channel);
  return channel;
}

void FileSystem::trees_moved() {
  std::vector<Staleness> names;
  for (const auto& [path, tree] : parts_->context->data_roots) {
    const std::string directory = parent_path(path);
    names.push_back(
        {.directory = directory == "/" ? parts_->root : parts_->context->interned.find(directory),
         .name = std::string(text::last_part(path))});
  }
  parts_->invalidate(names);
}

std::optional<std::string> FileSystem::history_apart(const std::string& root) {
  for (const auto& channel : parts_->serving()) {
    if (channel->part() == Part::trees) return history_place(root);
  }
  return std::nullopt;
}

// Names of synthetic files are asked for each time, so only those who poll have to be told.
void FileSystem::changed(const std::string& path) {
  std::vector<Watchers::Ready> ready = parts_->context->watchers.take(path);
  if (ready.empty()) return;
  parts_->context->services.loop().post([ready = std::move(ready)]() mutable {
    for (Watchers::Ready& each : ready) each();
  });
}

void FileSystem::changed_by(pid_t group) { parts_->context->versions.unpin_all(group); }

std::string FileSystem::times() const { return parts_->context->versions.times(); }

namespace {

// What one channel is to be told of a change, in its numbers.
struct News {
  std::shared_ptr<Channel> channel;
  std::uint64_t directory;
  std::string name;
  std::uint64_t node;
  bool is_tree;
  std::set<std::string> trees;
  std::uint64_t gone;

  // A directory with many changed names is told of once, after the last of them.
  void send(const News* next) const {  // on the thread of notices
    const auto to = channel->invalidator();
    if (to == nullptr) return;
    if (directory != 0 && !name.empty()) send_name(*to);
    if (directory != 0) {
      for (const std::string& each : trees) to->expire(directory, each);
    }
    const bool is_last =
        next == nullptr || next->channel != channel || next->directory != directory;
    if (directory != 0 && is_last) to->inode(directory);
    if (node != 0) to->inode(node);
  }

 private:
  void send_name(Invalidator& to) const {
    if (is_tree) return to.expire(directory, name);
    if (gone != 0) return to.removed(directory, gone, name);
    to.entry(directory, name);
  }
};

// What the host's kernel has not looked up it has not cached.
void add_news(const std::shared_ptr<Channel>& channel, const Staleness& change,
              std::vector<News>& news) {
  const std::uint64_t directory = change.directory ? channel->known(change.directory.get()) : 0;
  const std::uint64_t node = change.node ? channel->known(change.node.get()) : 0;
  const std::uint64_t gone = change.gone ? channel->known(change.gone.get()) : 0;
  if (directory != 0 || node != 0) {
    news.push_back({channel, directory, change.name, node, change.is_tree, change.trees, gone});
  }
}

}  // namespace

std::vector<std::shared_ptr<Channel>> FileSystem::Parts::serving() {
  std::vector<std::shared_ptr<Channel>> all;
  Lock lock(mutex);
  for (const auto& known : channels) {
    if (auto channel = known.lock()) all.push_back(std::move(channel));
  }
  return all;
}

void FileSystem::Parts::announce(std::vector<TreeEvent> changes) {
  if (changes.empty()) return;
  context->services.loop().post([all = serving(), changes = std::move(changes)] {
    for (const auto& channel : all) {
      if (const auto to = channel->invalidator()) to->announce(changes);
    }
  });
}

void FileSystem::Parts::announce_and_wait(std::vector<TreeEvent> changes) {
  auto told = std::make_shared<std::promise<void>>();
  const std::future<void> over = told->get_future();
  changes.back().held = std::move(told);
  announce(std::move(changes));
  about_to_wait();  // what is shown is asked for through the mount
  over.wait_for(kShow);
}

namespace {

using AllNews = std::vector<News>;

AllNews news_of(const std::vector<std::shared_ptr<Channel>>& channels,
                const std::vector<Staleness>& changes) {
  AllNews news;
  for (const auto& channel : channels) {
    if (channel->invalidator() == nullptr) continue;
    for (const Staleness& change : changes) add_news(channel, change, news);
  }
  return news;
}

void send_all(const AllNews& news) {
  for (std::size_t i = 0; i < news.size(); ++i) {
    news[i].send(i + 1 < news.size() ? &news[i + 1] : nullptr);
  }
}

// On the thread of notices; waits for it, but no longer than kInvalidation. Threads that are
// stopping drop their tasks, and the promise with them: the wait ends all the same. A thread of
// io_uring is bound to a CPU, and nobody else answers what is asked on that one.
bool tell(WorkerPool& notices, std::function<void()> say) {
  std::promise<void> said;
  const std::future<void> done = said.get_future();
  notices.post([say = std::move(say), said = std::move(said), waits = own_cpu()]() mutable {
    const AwayFrom who(waits);
    say();
    said.set_value();
  });
  about_to_wait();
  return done.wait_for(kInvalidation) == std::future_status::ready;
}

}  // namespace

bool FileSystem::Parts::invalidate(const std::vector<Staleness>& changes) {
  AllNews news = news_of(serving(), changes);
  if (news.empty()) return true;
  return tell(context->services.notices(), [news = std::move(news)] { send_all(news); });
}

void FileSystem::Parts::invalidate_later(const std::vector<Staleness>& changes) {
  AllNews news = news_of(serving(), changes);
  if (news.empty()) return;
  context->services.notices().post([news = std::move(news)] { send_all(news); });
}

std::optional<bool> FileSystem::Parts::expire_all(const Node& node) {
  std::vector<std::shared_ptr<Channel>> knowing;
  for (auto& channel : serving()) {
    const bool knows = channel->invalidator() != nullptr && channel->known(&node) != 0;
    if (knows) knowing.push_back(std::move(channel));
  }
  if (knowing.empty()) return std::nullopt;
  const auto said = std::make_shared<std::atomic<bool>>(false);
  const auto say = [knowing = std::move(knowing), said] {
    *said = std::ranges::all_of(knowing, [](const std::shared_ptr<Channel>& channel) {
      const auto to = channel->invalidator();
      return to == nullptr || to->expire_all();
    });
  };
  tell(context->services.notices(), say);
  return *said;
}

}  // namespace agentfs::vfs
