// SPDX-License-Identifier: MIT
#include "kernel/changed_paths.h"

namespace agentfs {

std::string ChangedPaths::note(const std::string& path, const PathEdit& edit) {
  const auto [found, is_new] = all_.try_emplace(path);
  const bool is_below = path.contains('/');
  if (is_below && !is_new) by_age_.erase({found->second.sequence, found->first});
  found->second = edit;
  if (is_below) by_age_.emplace(edit.sequence, found->first);
  return by_age_.size() > most_ ? give_up_oldest() : std::string();
}

std::string ChangedPaths::give_up_oldest() {
  const auto oldest = all_.extract(std::string(by_age_.begin()->second));
  by_age_.erase(by_age_.begin());
  PathEdit& top = all_[top_of(oldest.key())];
  if (top.sequence < oldest.mapped().sequence) top = oldest.mapped();
  return oldest.key();
}

}  // namespace agentfs
