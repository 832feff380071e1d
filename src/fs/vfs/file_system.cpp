// SPDX-License-Identifier: MIT
#include "fs/vfs/file_system.h"

#include <future>

#include "fs/vfs/data_tree.h"
#include "fs/vfs/file_system_parts.h"
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

}  // namespace

FileSystem::FileSystem(FileSystemParts parts) {
  auto context = std::make_shared<Context>(*parts.services, parts.owner, parts.group, parts.shared);
  context->versions.remember(parts.times);
  for (const auto& [path, store] : parts.trees) {
    const DirectoryType* const history = history_of(*parts.root, path);
    PastStore* const past = history != nullptr ? parts.past : nullptr;
    context->data_roots[path] = make_data_root(*parts.services, *store, path, past);
    set_history(*context->data_roots[path], {context, history});
  }
  NodeRef root = ensure_directory(context, *parts.root, {}, "/", S_IFDIR | 0755U);
  parts_ = std::make_unique<Parts>(std::move(context), std::move(root));
  parts_->past = parts.past;
}

// Nodes hold the context, and the context holds some of them: what it holds goes first.
FileSystem::~FileSystem() {
  for (const auto& handle : parts_->handles.clear()) handle->release();
  parts_->nodes.clear();
  parts_->context->versions.clear();
  parts_->context->scratch.clear();
  parts_->context->data_roots.clear();
}

Result<NodeRef> FileSystem::node(std::uint64_t id) { return parts_->nodes.get(id); }

std::uint64_t FileSystem::remember(const NodeRef& node) { return parts_->nodes.remember(node); }

void FileSystem::forget(std::uint64_t id, std::uint64_t lookups) {
  parts_->nodes.forget(id, lookups);
}

std::uint64_t FileSystem::keep(std::shared_ptr<Handle> handle) {
  return parts_->handles.keep(std::move(handle));
}

std::shared_ptr<Handle> FileSystem::handle(std::uint64_t number) {
  return parts_->handles.find(number);
}

std::shared_ptr<Handle> FileSystem::drop(std::uint64_t number) {
  return parts_->handles.drop(number);
}

void FileSystem::set_invalidator(Invalidator* invalidator) {
  Lock lock(parts_->mutex);
  parts_->invalidator = invalidator;
}

// Names of synthetic files are asked for each time, so only those who poll have to be told.
void FileSystem::changed(const std::string& path) {
  std::vector<Watchers::Ready> ready = parts_->context->watchers.take(path);
  if (ready.empty()) return;
  parts_->context->services.loop().post([ready = std::move(ready)]() mutable {
    for (Watchers::Ready& each : ready) each();
  });
}

std::string FileSystem::times() const { return parts_->context->versions.times(); }

void FileSystem::Parts::send(std::uint64_t directory, const std::string& name, std::uint64_t node) {
  Invalidator* to = nullptr;
  {
    Lock lock(mutex);
    to = invalidator;
  }
  if (to == nullptr) return;
  if (directory != 0 && !name.empty()) to->entry(directory, name);
  if (directory != 0) to->inode(directory);
  if (node != 0) to->inode(node);
}

// What the host's kernel has not looked up it has not cached.
void FileSystem::Parts::invalidate(const std::vector<Staleness>& changes,
                                   std::chrono::nanoseconds patience) {
  struct Numbers {
    std::uint64_t directory;
    std::string name;
    std::uint64_t node;
  };
  std::vector<Numbers> known;
  for (const Staleness& change : changes) {
    const std::uint64_t directory = change.directory ? nodes.find(change.directory.get()) : 0;
    const std::uint64_t node = change.node ? nodes.find(change.node.get()) : 0;
    if (directory != 0 || node != 0) known.push_back({directory, change.name, node});
  }
  {
    Lock lock(mutex);
    if (invalidator == nullptr) known.clear();
  }
  if (known.empty()) return;
  const auto send_all = [this, known = std::move(known)] {
    for (const Numbers& one : known) send(one.directory, one.name, one.node);
  };
  EventLoop& loop = context->services.loop();
  if (loop.on_thread()) return send_all();
  // A loop that is stopping drops its tasks, and the promise with it: the wait ends all the same.
  std::promise<void> sent;
  const std::future<void> done = sent.get_future();
  loop.post([send_all, sent = std::move(sent)]() mutable {
    send_all();
    sent.set_value();
  });
  if (patience.count() == 0) return done.wait();
  static_cast<void>(done.wait_for(patience));
}

}  // namespace agentfs::vfs
