// SPDX-License-Identifier: MIT
#include "kernel/kept_entry.h"

#include "backends/tree_xattrs.h"
#include "base/file.h"
#include "kernel/tree_change.h"

namespace agentfs {
namespace {

// Those that would not fit into a row are left out.
Xattrs xattrs_that_fit(TreeStore& store, const TreeNode& node) {
  constexpr std::size_t kMost = 16'384;
  Xattrs xattrs = xattrs_of(store, node, [](std::string_view) { return true; });
  std::size_t bytes = 0;
  std::erase_if(xattrs, [&](const auto& one) {
    return (bytes += one.first.size() + one.second.size()) > kMost;
  });
  return xattrs;
}

std::string_view type_of(const TreeEntry& entry) {
  switch (entry.node->type()) {
    case S_IFREG:
      if (entry.attributes.st_nlink > 1) return "name";
      return entry.attributes.st_size == 0 ? "empty" : "";
    case S_IFLNK:
      return "link";
    case S_IFDIR:
      return "directory";
    case S_IFIFO:
      return "fifo";
    case S_IFSOCK:
      return "socket";
    default:
      return "";
  }
}

}  // namespace

std::optional<json::Value> kept_without_bytes(TreeStore& store, const TreeEntry& entry,
                                              const std::function<std::uint64_t()>& next) {
  const std::string_view type = type_of(entry);
  if (type.empty() && entry.node->type() == S_IFREG) return std::nullopt;
  if (type.empty()) return json::Value(json::Object{{"reason", "a device, which is not kept"}});
  std::string target;
  if (type == "link") {
    auto read = store.read_link(*entry.node);
    if (!read) return json::Value(json::Object{{"reason", read.error().message}});
    target = *std::move(read);
  }
  json::Value kept = kept_row(next(), type, entry.attributes);
  if (type == "link") json::set_bytes(kept, "target", target);
  if (type != "name") set_xattrs(kept, xattrs_that_fit(store, *entry.node));
  return kept;
}

void set_identity(json::Value& kept, TreeStore& store, const TreeNode& node) {
  if (const std::uint64_t identity = store.identity(node); identity != 0) {
    kept.set("file", identity);
  }
}

}  // namespace agentfs
