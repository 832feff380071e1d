// SPDX-License-Identifier: MIT
// What is known by a name in a directory, and that names change.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>

namespace agentfs::trees {

class ForestNode;

// Directories apart from all else, which there is much more of: who goes down a tree looks at them
// alone. Nodes are borrowed.
class KnownNames {
 public:
  using Nodes = std::unordered_map<std::string, ForestNode*>;

  ForestNode* find(const std::string& name) const {
    for (const Nodes* const nodes : {&others_, &directories_}) {
      if (const auto found = nodes->find(name); found != nodes->end()) return found->second;
    }
    return nullptr;
  }
  void set(const std::string& name, ForestNode& node, bool is_directory) {
    (is_directory ? others_ : directories_).erase(name);
    (is_directory ? directories_ : others_)[name] = &node;
  }
  void erase(const std::string& name) {
    if (others_.erase(name) == 0) directories_.erase(name);
  }
  std::size_t size() const { return directories_.size() + others_.size(); }
  const Nodes& directories() const { return directories_; }
  const Nodes& others() const { return others_; }

 private:
  Nodes directories_;
  Nodes others_;
};

// Counts before and after each change of names: who saw the same count before it looked at some and
// after that has met no change. Threads: all.
class NameChanges {
 public:
  class Change {  // for its life
   public:
    explicit Change(NameChanges& changes) : count_(changes.count_) { ++count_; }
    ~Change() { ++count_; }
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;

   private:
    std::atomic<std::uint64_t>& count_;
  };
  std::uint64_t count() const { return count_; }

 private:
  std::atomic<std::uint64_t> count_ = 0;
};

}  // namespace agentfs::trees
