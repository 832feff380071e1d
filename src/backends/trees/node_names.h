// SPDX-License-Identifier: MIT
// The names that a node of a forest is known by. A file may have tens of thousands.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace agentfs::trees {

class ForestNode;
using ForestNodeRef = std::shared_ptr<ForestNode>;

struct NodeName {
  ForestNodeRef parent;
  std::string name;
};

// By parent, so that the parents of many names are soon told: a parent alone finds all in it.
struct NodeNameOrder {
  using is_transparent = void;
  using Key = std::pair<const ForestNode*, std::string_view>;
  static Key key(const NodeName& name) { return {name.parent.get(), name.name}; }
  bool operator()(const NodeName& a, const NodeName& b) const { return key(a) < key(b); }
  bool operator()(const NodeName& a, const Key& b) const { return key(a) < b; }
  bool operator()(const Key& a, const NodeName& b) const { return a < key(b); }
  bool operator()(const ForestNode* a, const NodeName& b) const { return a < b.parent.get(); }
  bool operator()(const NodeName& a, const ForestNode* b) const { return a.parent.get() < b; }
};
using NodeNames = std::set<NodeName, NodeNameOrder>;

}  // namespace agentfs::trees
