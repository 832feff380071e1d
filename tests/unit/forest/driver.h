// SPDX-License-Identifier: MIT
// Does a model's operations to a forest, and compares the two whole.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "backends/forest.h"
#include "world.h"

namespace agentfs::test {

class Driver {
 public:
  // `base` is a directory that outlives it.
  Driver(std::string base, ForestOptions options);

  // A sentence of what went otherwise than the model says; empty when all is well.
  std::string apply(const Operation& operation, World& world);
  std::string compare(World& world, bool times);
  // What compare() of the store tells against what the model says.
  std::string compare_differences(const World& world);
  // After a crash: the states by their labels.
  void open();
  Forest& forest() { return *forest_; }

 private:
  using Path = std::vector<std::string>;
  Result<TreeNodeRef> find(const Path& path);
  Status change_entry(const Operation& operation);
  Status remove(const TreeNode& parent, const std::string& name);
  Status change_file(const Operation& operation);
  Status change_open(const Operation& operation);
  Status change_tree(const Operation& operation);
  Status follow(const std::string& tree);
  std::string compare_tree(const TreeNodeRef& node, ModelFile& file, const std::string& path);
  std::string compare_file(const TreeNodeRef& node, ModelFile& file);
  std::string compare_all(World& world, bool times);
  std::string compare_numbers();
  std::string compare_times(const struct stat& attributes, ModelFile& file);
  std::string compare_root(const TreeNodeRef& root, ModelFile& file, const std::string& path);

  const std::string base_;
  ForestOptions options_;
  std::unique_ptr<Forest> forest_;
  std::map<std::size_t, SnapshotId> states_;
  std::map<std::size_t, std::unique_ptr<TreeFile>> open_;
  std::map<Path, TreeNodeRef> held_;  // directories that somebody works in
  std::size_t removals_ = 0;          // of files with one name
  // Of the comparison under way.
  bool times_ = true;
  std::uint64_t above_ = 0;
  std::optional<std::uint64_t> files_above_{};
  std::map<const ModelFile*, nlink_t> names_;
  std::map<const ModelFile*, ino_t> inodes_;
  // Who has which number, and who has another one than before.
  struct Renumbered {
    std::string path;
    ModelFile* file;
    ino_t number;
  };
  std::multimap<ino_t, const ModelFile*> holders_;
  std::vector<Renumbered> renumbered_;
};

}  // namespace agentfs::test
