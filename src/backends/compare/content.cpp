// SPDX-License-Identifier: MIT
#include "backends/compare/content.h"

#include <unistd.h>

#include <algorithm>

#include "base/copy.h"
#include "base/file_hash.h"
#include "base/file_times.h"
#include "base/hash.h"
#include "base/nanoseconds.h"
#include "base/text.h"

namespace agentfs {

FileState state_of(const TreeEntry& entry) {
  const struct stat& from = entry.attributes;
  const bool is_device = S_ISCHR(from.st_mode) || S_ISBLK(from.st_mode);
  return {.mode = from.st_mode,
          .device = entry.node ? entry.node->device() : from.st_dev,
          .inode = entry.node ? entry.node->inode() : from.st_ino,
          .special = is_device ? from.st_rdev : 0,
          .size = from.st_size,
          .modified = nanoseconds_of(from.st_mtim),
          .changed = nanoseconds_of(from.st_ctim)};
}

namespace compare {
namespace {

constexpr std::size_t kChunk = std::size_t{256} << 10;

// Reads as much as there is, up to the length of `chunk`; 0 at the end.
Result<std::string_view> read_chunk(int fd, std::string& chunk) {
  std::size_t filled = 0;
  while (filled < chunk.size()) {
    const ssize_t got = ::read(fd, chunk.data() + filled, chunk.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("read");
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  return std::string_view(chunk.data(), filled);
}

Result<std::unique_ptr<TreeFile>> open(const Leaf& leaf) {
  return leaf.store->open(*leaf.entry.node, O_RDONLY, TreeCaller{});
}

Result<bool> same_bytes(const Leaf& one, const Leaf& other) {
  if (one.entry.attributes.st_size != other.entry.attributes.st_size) return false;
  if (one.entry.attributes.st_size == 0) return true;
  if (one.store == other.store) {
    const auto known = one.store->has_same_bytes(*one.entry.node, *other.entry.node);
    if (known) return *known;
  }
  const auto first = TRY(open(one));
  const auto second = TRY(open(other));
  const bool same = TRY(agentfs::same_bytes(first->descriptor(), second->descriptor()));
  TRY(first->check_read());
  TRY(second->check_read());
  return same;
}

}  // namespace

bool is_gone(const Error& error) {
  return error.code == ENOENT || error.code == ENOTDIR || error.code == ESTALE;
}

bool is_unreadable(const Error& error) {
  return error.code == EACCES || error.code == EPERM || error.code == EBUSY;
}

bool is_same_file(const FileState& one, const FileState& other) {
  const auto number = [](const FileState& state) {
    return static_cast<std::uint32_t>(state.inode);
  };
  return one.device == other.device && number(one) == number(other) && one.mode == other.mode &&
         one.size == other.size && one.modified == other.modified && one.changed == other.changed;
}

bool modes_differ(const FileState& one, const FileState& other) {
  if (one.type() == S_IFLNK || other.type() == S_IFLNK) return false;
  return (one.mode & kPermissions) != (other.mode & kPermissions);
}

mode_t git_mode(mode_t mode) {
  if (S_ISLNK(mode)) return 0120000;
  return (mode & S_IXUSR) != 0 ? 0100755 : 0100644;
}

bool is_in_patches(mode_t mode) { return S_ISREG(mode) || S_ISLNK(mode); }

Result<std::string> read_leaf(const Leaf& leaf, std::int64_t largest) {
  const mode_t mode = leaf.entry.attributes.st_mode;
  if (S_ISLNK(mode)) return leaf.store->read_link(*leaf.entry.node);
  if (!S_ISREG(mode)) return std::string();
  const auto opened = TRY(open(leaf));
  std::string bytes;
  std::string chunk(
      std::clamp(static_cast<std::size_t>(leaf.entry.attributes.st_size) + 1, 1uz, kChunk), '\0');
  for (;;) {
    const std::string_view piece = TRY(read_chunk(opened->descriptor(), chunk));
    if (piece.empty()) break;
    bytes += piece;
    if (static_cast<std::int64_t>(bytes.size()) > largest) {
      return fail(EFBIG, "more than {} bytes", largest);
    }
  }
  TRY(opened->check_read());
  return bytes;
}

Result<bool> same_content(const Leaf& one, const Leaf& other) {
  const mode_t mode = one.entry.attributes.st_mode;
  if (S_ISREG(mode)) return same_bytes(one, other);
  if (S_ISLNK(mode)) {
    return TRY(one.store->read_link(*one.entry.node)) ==
           TRY(other.store->read_link(*other.entry.node));
  }
  return state_of(one.entry).special == state_of(other.entry).special;
}

Result<std::string> digest_of(const Leaf& leaf) {
  if (S_ISLNK(leaf.entry.attributes.st_mode)) {
    return blake2b(TRY(leaf.store->read_link(*leaf.entry.node)));
  }
  const auto opened = TRY(open(leaf));
  std::string digest = TRY(file::blake2b(opened->descriptor()));
  TRY(opened->check_read());
  return digest;
}

Result<std::vector<std::string>> names_of(TreeStore& store, const TreeNode& directory) {
  auto names = names_in(store, directory);
  if (!names && is_gone(names.error())) return std::vector<std::string>();
  if (!names) return names;
  std::ranges::sort(*names);
  // A directory that is changed meanwhile may tell a name twice.
  names->erase(std::ranges::unique(*names).begin(), names->end());
  return names;
}

Result<std::optional<TreeEntry>> PathFinder::find(std::string_view path) {
  TreeNodeRef at = side_.root;
  std::size_t depth = 0;
  while (!path.empty()) {
    const auto slash = path.find('/');
    const std::string_view name = path.substr(0, slash);
    const bool is_last = slash == std::string_view::npos;
    path.remove_prefix(is_last ? path.size() : slash + 1);
    if (!is_last && depth < known_.size() && known_[depth].name == name) {
      at = known_[depth++].directory;
      continue;
    }
    if (!is_last) known_.resize(depth);
    auto found = side_.store->lookup(*at, std::string(name));
    if (!found && is_gone(found.error())) return std::nullopt;
    if (!found) return std::unexpected(std::move(found).error());
    if (is_last) return std::move(*found);
    if (found->node->type() != S_IFDIR) return std::nullopt;
    at = found->node;
    known_.push_back({std::string(name), at});
    ++depth;
  }
  return TreeEntry{at, TRY(side_.store->attributes(*at))};
}

Result<FileState> PathFinder::state(std::string_view path) {
  const auto found = TRY(find(path));
  if (!found) return FileState{};
  if (found->node->type() == S_IFREG) await_telling(found->attributes);
  return state_of(*found);
}

Result<Leaf> PathFinder::leaf(std::string_view path) {
  auto found = TRY(find(path));
  if (!found) return fail(ESTALE, "{}: is gone; compare again", text::shown(path));
  return Leaf{side_.store, std::move(*found)};
}

}  // namespace compare
}  // namespace agentfs
