// SPDX-License-Identifier: MIT
#include "fs/vfs/path_walk.h"

#include <unistd.h>

#include <algorithm>

#include "base/permissions.h"
#include "base/text.h"
#include "fs/vfs/data_node.h"

namespace agentfs::vfs {
namespace {

constexpr int kMostLinks = 40;

std::string joined(const std::string& directory, const std::string& target) {
  return target.starts_with('/') ? target : child_path(directory, target);
}

// The data root that a path lies in, or "".
std::string data_root_of(const Context& context, const std::string& path) {
  for (const auto& [root, node] : context.data_roots) {
    if (text::is_in(path, root)) return root;
  }
  return {};
}

struct Step {
  NodeRef node;
  std::string path;
  std::string next;  // where a symlink leads, if the walk met one
};

// Walks the tables until the end or the first symlink.
Result<Step> walk_tables(Request& request, const NodeRef& root, const std::string& path) {
  Step step{root, "/", {}};
  const auto names = text::split(std::string_view(path).substr(1), '/');
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty()) continue;
    TRY(check_access(request, *step.node, X_OK));
    step.node = TRY(step.node->lookup(request, std::string(names[i]))).node;
    if (step.node->type() == S_IFLNK) {
      const auto target = step.node->read_link(request);
      if (!target) return std::unexpected(target.error());
      step.next = joined(step.path, *target);
      for (std::size_t rest = i + 1; rest < names.size(); ++rest) {
        step.next = child_path(step.next, names[rest]);
      }
      return step;
    }
    step.path = child_path(step.path, names[i]);
  }
  return step;
}

}  // namespace

std::string Walked::relative() const {
  return path.size() > data_root.size() ? path.substr(data_root.size() + 1) : std::string();
}

// A synthetic file has its mode and owner; the disk, which has more, is asked itself.
Status check_access(Request& request, Node& node, int mask) {
  const TreeCaller caller = request.tree();
  if (node.lists_attributes()) return node.access(request, mask);
  if (caller.uid == 0) return ok();
  const struct stat is = TRY(node.attributes(request)).attributes;
  const bool in_group =
      caller.gid == is.st_gid || std::ranges::find(caller.groups, is.st_gid) != caller.groups.end();
  const unsigned shift = caller.uid == is.st_uid ? 6 : in_group ? 3 : 0;
  const mode_t wanted = static_cast<mode_t>(mask);
  if (((is.st_mode >> shift) & wanted) == wanted) return ok();
  return fail(EACCES, "{}: belongs to another user (mode {:04o}); its owner may do this",
              node.path(), is.st_mode & kPermissions);
}

Result<std::string> clean_path(const std::string& path) {
  if (!path.starts_with('/') || path.contains('\0')) {
    return fail(EINVAL, "{}: not an absolute path of the mount", text::shown(path));
  }
  std::vector<std::string> names;
  for (const std::string_view name : text::split(path, '/')) {
    if (name.empty() || name == ".") continue;
    if (name != "..") {
      names.emplace_back(name);
    } else if (!names.empty()) {
      names.pop_back();
    }
  }
  std::string clean(1, '/');
  clean += text::join(names, "/");
  return clean;
}

Result<Walked> walk(Request& request, const ContextRef& context, const NodeRef& root,
                    const std::string& path) {
  std::string at = TRY(clean_path(path));
  for (int links = 0; links <= kMostLinks; ++links) {
    const std::string data = data_root_of(*context, at);
    if (!data.empty()) {
      const NodeRef data_root = context->data_roots.at(data);
      if (at == data) return Walked{data_root, at, data};
      const NodeRef node = TRY(walk_data(request, data_root, at.substr(data.size() + 1)));
      return Walked{node, node->path(), data};
    }
    Step step = TRY(walk_tables(request, root, at));
    if (step.next.empty()) return Walked{std::move(step.node), std::move(step.path), {}};
    at = TRY(clean_path(step.next));
  }
  return fail(ELOOP, "{}: more than {} symbolic links", path, kMostLinks);
}

}  // namespace agentfs::vfs
