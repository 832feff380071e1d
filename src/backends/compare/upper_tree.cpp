// SPDX-License-Identifier: MIT
#include "backends/compare/upper_tree.h"

#include "base/text.h"

namespace agentfs::compare {
namespace {

// The host's kernel takes no longer path, so what is deeper cannot be moved from here.
constexpr std::size_t kLongestPath = 4000;

class Reader {
 public:
  Reader(const UpperDirectory& upper, const TreeSide& ours) : upper_(upper), ours_(ours) {}

  Result<UpperTree> run() {
    UpperTree tree;
    tree.root.entry = TRY(upper_.entry(""));
    tree.root.lower = "";
    TRY(read_children(tree.root, ""));
    tree.moved = std::move(moved_);
    tree.names = std::move(names_);
    return tree;
  }

 private:
  Status read_children(UpperNode& node, const std::string& path);
  Status find_lower(UpperNode& node, const UpperNode& parent);

  const UpperDirectory& upper_;
  PathFinder ours_;
  std::set<std::string, std::less<>> moved_;
  std::map<ino_t, std::size_t> names_;
};

Status Reader::read_children(UpperNode& node, const std::string& path) {
  for (const std::string& name : TRY(upper_.names(path))) {
    const std::string below = joined(path, name);
    if (below.size() > kLongestPath) {
      return fail(ENAMETOOLONG, "{}…: deeper than can be folded; fs=coherent would do",
                  text::shown(below.substr(0, 100)));
    }
    UpperNode child{.name = name, .entry = TRY(upper_.entry(below))};
    if (child.entry.kind == UpperEntry::Kind::leaf) ++names_[child.entry.state.st_ino];
    if (child.entry.kind == UpperEntry::Kind::directory) {
      TRY(find_lower(child, node));
      TRY(read_children(child, below));
    }
    node.children.push_back(std::move(child));
  }
  return ok();
}

Status Reader::find_lower(UpperNode& node, const UpperNode& parent) {
  const std::string& redirect = node.entry.redirect;
  std::string lower;
  if (redirect.starts_with('/')) {
    lower = redirect.substr(1);
  } else if (!parent.lower || node.entry.is_opaque) {
    return ok();
  } else {
    lower = joined(*parent.lower, redirect.empty() ? node.name : redirect);
  }
  const auto found = TRY(ours_.find(lower));
  if (found && found->node->type() == S_IFDIR) {
    // Of what was moved away and came back the kernel still says where it was.
    node.is_moved = !parent.lower || lower != joined(*parent.lower, node.name);
    if (node.is_moved) moved_.insert(lower);
    node.lower = std::move(lower);
  } else {
    node.is_lost = node.entry.is_copied || !redirect.empty();
  }
  return ok();
}

}  // namespace

Result<UpperTree> read_upper_tree(const UpperDirectory& upper, const TreeSide& ours) {
  return Reader(upper, ours).run();
}

bool is_reserved(std::string_view path) {
  return text::last_part(path) == ".agentfs" || path == kMergeDirectory;
}

std::string joined(const std::string& directory, const std::string& name) {
  return directory.empty() ? name : fmt::format("{}/{}", directory, name);
}

}  // namespace agentfs::compare
