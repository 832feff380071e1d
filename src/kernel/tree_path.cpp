// SPDX-License-Identifier: MIT
#include "kernel/tree_path.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "kernel/kernel.h"

namespace agentfs {
namespace {

constexpr off_t kLargestText = off_t{64} << 20;

}  // namespace

Result<TreeEntry> find_in_tree(TreeStore& store, const TreeNodeRef& root, std::string_view path) {
  TreeEntry entry{.node = root};
  for (const std::string_view name : text::split(path, '/')) {
    if (!name.empty()) entry = TRY(store.lookup(*entry.node, std::string(name)));
  }
  if (entry.node == root) entry.attributes = TRY(store.attributes(*root));
  return entry;
}

Result<PlacedEntry> find_in_mount(const Kernel& kernel, std::string_view path) {
  const std::string_view top = text::first_parts(path, 1);
  const auto forest = kernel.parts().forests.find(std::string(top));
  if (forest == kernel.parts().forests.end()) {
    return fail(ENOENT, "{}: in no forest", text::shown(path));
  }
  TreeStore& store = *forest->second;
  return PlacedEntry{&store, TRY(find_in_tree(store, store.root(), path.substr(top.size())))};
}

Result<std::string> read_file(TreeStore& store, const TreeNode& node) {
  if (node.type() == S_IFLNK) return store.read_link(node);
  const auto file = TRY(store.open(node, O_RDONLY, TreeCaller{}));
  struct stat attributes{};
  if (::fstat(file->descriptor(), &attributes) != 0) return fail_errno("a file of a tree");
  if (attributes.st_size > kLargestText) {
    return fail(EFBIG, "{} bytes; at most {} are read of one side", attributes.st_size,
                kLargestText);
  }
  std::string text = TRY(file::read(file->descriptor()));
  TRY(file->check_read());
  return text;
}

Result<std::string> read_rules(TreeStore& store, const TreeNodeRef& directory,
                               std::string_view path) {
  constexpr off_t kLargest = off_t{1} << 20;
  const auto found = find_in_tree(store, directory, path);
  const int code = found ? 0 : found.error().code;
  if (code == ENOENT || code == ENOTDIR || code == EACCES) return std::string();
  if (!found) return std::unexpected(found.error());
  const struct stat& its = found->attributes;
  if (!S_ISREG(its.st_mode) || its.st_size > kLargest) return std::string();
  return read_file(store, *found->node);
}

}  // namespace agentfs
