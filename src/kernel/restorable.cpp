// SPDX-License-Identifier: MIT
#include "kernel/restorable.h"

#include <map>

#include "base/text.h"
#include "kernel/kernel.h"
#include "kernel/paths.h"
#include "kernel/tree_path.h"

namespace agentfs {

Result<std::string> path_below(const std::string& root, const std::string& path) {
  int depth = 0;
  for (const std::string_view part : text::split(path, '/')) {
    if (part == "..") {
      --depth;
    } else if (!part.empty() && part != ".") {
      ++depth;
    }
    if (depth < 0) break;
  }
  const std::string whole = paths::normalise(path, root);
  if (depth >= 0 && text::is_in(whole, root)) return whole;
  return fail(EINVAL, "{}: leads out of {}; a path below it, such as src/main.c, would do",
              text::shown(path), root);
}

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

std::string note_of_left(const RestoreCourse& course) {
  if (course.left.empty()) return "";
  const std::string first = text::shown(course.left.front());
  if (course.left.size() == 1) {
    return fmt::format(
        "{} has been made meanwhile, and stays so; .agentfs/versions has what it was\n", first);
  }
  return fmt::format(
      "{} paths have been made meanwhile, {} among them, and stay so; .agentfs/versions has what "
      "they were\n",
      course.left.size(), first);
}

}  // namespace agentfs
