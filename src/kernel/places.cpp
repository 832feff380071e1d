// SPDX-License-Identifier: MIT
#include "kernel/places.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "kernel/tree_path.h"

namespace agentfs {
namespace {

constexpr auto kNothing = std::to_array({ENOENT, ENOTDIR, ENAMETOOLONG, EACCES});

bool is_nothing(const Error& error) {
  return std::ranges::find(kNothing, error.code) != kNothing.end();
}

}  // namespace

Result<struct stat> Places::look(const std::string& path) {
  const std::string directory(text::parent_part(path));
  if (!known_ || *known_ != directory) {
    node_.reset();
    const auto found = find_in_tree(store_, root_, directory);
    if (!found && !is_nothing(found.error())) return std::unexpected(found.error());
    if (found && found->node->type() == S_IFDIR) node_ = found->node;
    is_below_file_ = found ? node_ == nullptr : found.error().code == ENOTDIR;
    known_ = directory;
  }
  if (node_ == nullptr) return Result<struct stat>();
  const auto found = find_in_tree(store_, node_, text::last_part(path));
  if (found) return found->attributes;
  if (is_nothing(found.error())) return Result<struct stat>();
  return std::unexpected(found.error());
}

bool Places::has_names(const std::string& path) {
  const auto found = find_in_tree(store_, root_, path);
  if (!found || found->node->type() != S_IFDIR) return false;
  const auto names = names_in(store_, *found->node);
  return names && !names->empty();
}

}  // namespace agentfs
