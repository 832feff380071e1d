// SPDX-License-Identifier: MIT
#include "kernel/commit_place.h"

#include <fcntl.h>

#include <climits>

#include "base/hash.h"
#include "base/log.h"
#include "base/text.h"
#include "kernel/forks.h"
#include "kernel/kernel.h"
#include "kernel/packed_refs.h"
#include "kernel/paths.h"

namespace agentfs {
namespace {

// The lock of a ref that nobody has: what a crash leaves of it is no ref.
constexpr const char* kNobodys = "agentfs.lock";

// The last directory on the way that is there.
Result<TreeNodeRef> directory_of(Forest& forest, const std::string& root, const std::string& ref) {
  TreeNodeRef node = TRY(forest.lookup(*forest.root(), paths::name_of(root))).node;
  const std::string way = fmt::format(".git/{}", text::parent_part(ref));
  for (const std::string_view name : text::split(way, '/')) {
    const auto next = forest.lookup(*node, std::string(name));
    const bool is_there = next && next->node->type() == S_IFDIR;
    if (!is_there && name == ".git") return fail(ENOENT, "{}: no repository", root);
    if (!is_there) break;
    node = next->node;
  }
  return node;
}

// As a change of it would.
Status keep(Forest& forest, const TreeNode& directory) {
  constexpr int kNew = O_RDWR | O_CREAT | O_EXCL;
  const auto made = forest.create(directory, kNobodys, kNew, S_IFREG | 0600, TreeCaller{});
  if (!made && made.error().code != EEXIST) return std::unexpected(made.error());
  return forest.unlink(directory, kNobodys, TreeCaller{});
}

}  // namespace

void ready_for_commit(Kernel& kernel, const std::string& root, const std::string& ref) {
  const Forks forks = kernel.forks();
  if (!forks.info_of(root)) return;
  (void)forks.materialise(root + "/.git", true);
  const auto forest = forks.forest_of(root);
  if (forest) pack_refs(kernel, **forest, root, std::string(text::parent_part(ref)));
  const auto directory = forest ? directory_of(**forest, root, ref) : fail(ENOENT, "{}", root);
  const Status kept = directory ? keep(**forest, **directory) : ok();
  if (!kept) {
    log::warning("{}: {} is seen in states of before: {}", root, ref, kept.error().message);
  }
}

std::string repository_beside(const std::string& state, std::string_view workspace) {
  constexpr std::string_view kSuffix = ".git";
  constexpr std::size_t kLongest = NAME_MAX - kSuffix.size();
  if (workspace.size() <= kLongest) return fmt::format("{}/git/{}{}", state, workspace, kSuffix);
  return fmt::format("{}/git/{}{}~", state, shortened(workspace, kLongest - 1, "~"), kSuffix);
}

std::string shortened(std::string_view name, std::size_t longest, std::string_view mark) {
  constexpr std::size_t kDigits = 32;
  if (name.size() <= longest) return std::string(name);
  const std::size_t kept = longest - mark.size() - kDigits;
  return fmt::format("{}{}{}", name.substr(0, kept), mark, blake2b(name).substr(0, kDigits));
}

}  // namespace agentfs
