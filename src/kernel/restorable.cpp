// SPDX-License-Identifier: MIT
#include "kernel/restorable.h"

#include <map>

#include "base/text.h"
#include "kernel/kernel.h"
#include "kernel/tree_path.h"

namespace agentfs {

bool is_there(const Kernel& kernel, const Caller& caller, const std::string& path) {
  if (text::last_part(path) == ".agentfs") return find_in_mount(kernel, path).has_value();
  return kernel.paths().attributes(caller, path).has_value();
}

Returning without_what_is_there(const Kernel& kernel, const Caller& caller, const std::string& top,
                                std::vector<FileVersionRef> found, const FileVersionRef& newest) {
  std::map<std::string, bool, std::less<>> known;
  const auto is_other = [&](const std::string& path) {
    const auto [at, is_new] = known.try_emplace(path);
    if (is_new) {
      const auto there = find_in_mount(kernel, path);
      at->second = there && there->entry.node->type() != S_IFDIR;
    }
    return at->second;
  };
  std::string way;
  const auto has_no_way = [&](const std::string& path) {
    for (auto end = top.size(); end < path.size(); end = path.find('/', end + 1)) {
      if (!is_other(path.substr(0, end))) continue;
      way = path.substr(0, end);
      return true;
    }
    return false;
  };
  const auto left = std::erase_if(found, [&](const auto& one) { return has_no_way(one->path); });
  std::erase_if(found, [&](const auto& one) {
    return one->path != top && is_there(kernel, caller, one->path);
  });
  if (left == 0) return {std::move(found), {}};
  if (found.empty() && newest != nullptr && is_other(top)) found.push_back(newest);
  return {std::move(found),
          fmt::format(
              "{} in the trash, since {} is no directory now; with that moved away, what lay "
              "below can come back\n",
              left == 1 ? "1 path stays" : fmt::format("{} paths stay", left), text::shown(way))};
}

}  // namespace agentfs
