// SPDX-License-Identifier: MIT
#include "kernel/changed_paths.h"

#include <algorithm>

namespace agentfs {

std::vector<std::string> ChangedPaths::note(const std::string& path, const PathEdit& edit) {
  set(path, edit);
  std::vector<std::string> given_up;
  while (below_.size() > most_ || bytes_ > most_bytes_) given_up.push_back(give_up_oldest());
  return given_up;
}

void ChangedPaths::set(const std::string& path, const PathEdit& edit) {
  ByAge& ages = ages_of(path);
  const auto [found, is_new] = all_.try_emplace(path);
  if (!is_new) ages.erase({found->second.sequence, found->first});
  if (is_new && &ages == &below_) bytes_ += path.size();
  found->second = edit;
  ages.emplace_hint(ages.end(), edit.sequence, found->first);  // mostly the newest
}

std::string ChangedPaths::give_up_oldest() {
  std::string path(below_.begin()->second);
  below_.erase(below_.begin());
  bytes_ -= path.size();
  const PathEdit edit = all_.extract(path).mapped();
  const auto top = all_.find(top_of(path));
  if (top == all_.end() || top->second.sequence < edit.sequence) set(top_of(path), edit);
  return path;
}

std::vector<std::pair<std::string, PathEdit>> ChangedPaths::since(Sequence record) const {
  std::vector<std::string_view> newer;
  for (const ByAge* ages : {&tops_, &below_}) {
    const auto from = ages->lower_bound({Sequence{record.value + 1}, std::string_view()});
    for (auto at = from; at != ages->end(); ++at) newer.push_back(at->second);
  }
  std::ranges::sort(newer);
  std::vector<std::pair<std::string, PathEdit>> changed;
  changed.reserve(newer.size());
  for (const std::string_view path : newer) changed.push_back(*all_.find(std::string(path)));
  return changed;
}

}  // namespace agentfs
