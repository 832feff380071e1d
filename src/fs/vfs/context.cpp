// SPDX-License-Identifier: MIT
#include "fs/vfs/context.h"

#include <fcntl.h>

#include "base/hash.h"
#include "base/nanoseconds.h"
#include "base/permissions.h"
#include "base/text.h"

namespace agentfs::vfs {

NodeRef Interned::ensure(const std::string& path, const std::function<NodeRef()>& make) {
  NodeRef node;  // the last reference to an old one must not go under the lock
  Lock lock(mutex_);
  std::weak_ptr<Node>& known = nodes_[path];
  node = known.lock();
  if (!node) known = node = make();
  return node;
}

NodeRef Interned::find(const std::string& path) {
  Lock lock(mutex_);
  const auto found = nodes_.find(path);
  return found == nodes_.end() ? nullptr : found->second.lock();
}

void Interned::forget(const std::string& path) {
  Lock lock(mutex_);
  const auto found = nodes_.find(path);
  if (found != nodes_.end() && found->second.expired()) nodes_.erase(found);
}

void Interned::replace(const std::string& path) {
  Lock lock(mutex_);
  nodes_.erase(path);
}

NodeRef Context::top_of(const std::string& root) const {
  const auto found = data_roots.find(parent_path(root));
  return found == data_roots.end() ? nullptr : found->second;
}

std::uint64_t inode_number(std::string_view path) { return fnv1a(path) | (1ULL << 63U); }

mode_t permissions(const Context& context, const RowInfo& row) {
  const mode_t all = row.mode & kPermissions;
  return context.shared && row.is_private ? all & 07700U : all;
}

struct stat make_stat(const Context& context, std::string_view path, mode_t mode,
                      std::int64_t changed) {
  struct stat attributes{};
  attributes.st_ino = inode_number(path);
  attributes.st_mode = mode;
  attributes.st_nlink = 1;
  const auto owner = context.services.owner_of(path);
  attributes.st_uid = owner ? owner->uid : context.owner;
  attributes.st_gid = owner ? owner->gid : context.group;
  attributes.st_blksize = 4096;
  attributes.st_mtim = time_of(changed);
  attributes.st_ctim = attributes.st_mtim;
  attributes.st_atim = attributes.st_mtim;
  return attributes;
}

std::string child_path(std::string_view directory, std::string_view name) {
  std::string path(directory == "/" ? "" : directory);
  path += '/';
  path += name;
  return path;
}

std::string parent_path(const std::string& path) {
  const std::string_view parent = text::parent_part(path);
  return parent.empty() ? "/" : std::string(parent);
}

std::string session_of(const Request& request) {
  const HostCaller& host = request.host();
  if (host.pid != 0 && !host.session.empty()) {
    return fmt::format("session {} of uid {}", host.session, host.uid);
  }
  if (host.pid != 0) return fmt::format("host process {}", host.pid);
  return fmt::format("process {}", request.caller().process.value);
}

bool wants_write(int flags) { return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0; }

Error noted(const Context& context, const Request& request, const std::string& path, Error error) {
  const auto author = request.writer();
  context.services.note_error(author ? *author : request.caller(), path, error);
  return error;
}

}  // namespace agentfs::vfs
