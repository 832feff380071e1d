// SPDX-License-Identifier: MIT
#include "kernel/restorable.h"

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

bool Obstacles::is_at(const std::string& path) {
  const auto [at, is_new] = known_.try_emplace(path);
  if (is_new) {
    const auto there = find_in_mount(kernel_, path);
    at->second = there && there->entry.node->type() != S_IFDIR;
  }
  return at->second;
}

std::string Obstacles::above(const std::string& path, std::size_t top) {
  for (auto end = top; end < path.size(); end = path.find('/', end + 1)) {
    if (is_at(path.substr(0, end))) return path.substr(0, end);
  }
  return "";
}

Returning without_what_is_there(const Kernel& kernel, const Caller& caller, const std::string& top,
                                std::vector<FileVersionRef> found, const FileVersionRef& newest) {
  Obstacles obstacles(kernel);
  std::string way;
  const auto left = std::erase_if(found, [&](const auto& one) {
    const std::string obstacle = obstacles.above(one->path, top.size());
    if (!obstacle.empty()) way = obstacle;
    return !obstacle.empty();
  });
  std::erase_if(found, [&](const auto& one) {
    return one->path != top && is_there(kernel, caller, one->path);
  });
  if (left == 0) return {std::move(found), {}};
  if (found.empty() && newest != nullptr && obstacles.is_at(top)) found.push_back(newest);
  return {std::move(found),
          fmt::format(
              "{} in the trash, since {} is no directory now; with that moved away, what lay "
              "below can come back\n",
              left == 1 ? "1 path stays" : fmt::format("{} paths stay", left), text::shown(way))};
}

std::string note_of_left(const std::vector<std::string>& paths) {
  if (paths.empty()) return "";
  const std::string first = text::shown(paths.front());
  if (paths.size() == 1) {
    return fmt::format(
        "{} has been made meanwhile, and stays so; .agentfs/versions has what it was\n", first);
  }
  return fmt::format(
      "{} paths have been made meanwhile, {} among them, and stay so; .agentfs/versions has what "
      "they were\n",
      paths.size(), first);
}

}  // namespace agentfs
