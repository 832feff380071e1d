// SPDX-License-Identifier: MIT
// Walking a data tree for agents, who do not come through the host's kernel.
#include <sys/stat.h>
#include <unistd.h>

#include <deque>

#include "base/text.h"
#include "fs/vfs/data_node.h"

namespace agentfs::vfs {
namespace {

constexpr int kMaximumLinks = 40;  // as the host's kernel (path_resolution(7))

using Parts = std::deque<std::string>;

void push_front(Parts& rest, std::string_view path) {
  const auto parts = text::split(path, '/');
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    if (!part->empty() && *part != ".") rest.emplace_front(*part);
  }
}

// Where a link leads: an absolute target is a path of the mount, and must stay in this tree.
Status follow(Request& request, const NodeRef& link, const NodeRef& root,
              std::vector<NodeRef>& trail, Parts& rest) {
  std::string target = TRY(link->read_link(request));
  if (target.starts_with('/')) {
    const std::string top = root->path();
    if (!text::is_in(target, top)) {
      return fail(ENOENT, "{}: the link leads out of {} (to {})", link->path(), top,
                  text::shown(target));
    }
    target.erase(0, top.size());
    trail.assign({root});
  }
  push_front(rest, target);
  return ok();
}

}  // namespace

Result<NodeRef> walk_data(Request& request, const NodeRef& root, const std::string& relative) {
  std::vector<NodeRef> trail{root};  // ".." goes back along it, never above the root
  Parts rest;
  push_front(rest, relative);
  int links = 0;
  while (!rest.empty()) {
    const std::string name = std::move(rest.front());
    rest.pop_front();
    if (name == "..") {
      if (trail.size() > 1) trail.pop_back();
      continue;
    }
    if (trail.back()->type() != S_IFDIR) {
      return fail(ENOTDIR, "{}: not a directory", trail.back()->path());
    }
    TRY(trail.back()->access(request, X_OK));
    const Found found = TRY(trail.back()->lookup(request, name));
    if (found.node->type() == S_IFLNK) {
      if (++links > kMaximumLinks) return fail(ELOOP, "{}: too many links", found.node->path());
      TRY(follow(request, found.node, root, trail, rest));
    } else {
      trail.push_back(found.node);
    }
  }
  return trail.back();
}

}  // namespace agentfs::vfs
