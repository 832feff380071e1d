// SPDX-License-Identifier: MIT
// An open file of a forest.
#pragma once

#include <sys/stat.h>

#include <memory>
#include <optional>

#include "backends/trees/forest_nodes.h"

namespace agentfs::trees {

// Of the flags a file was opened with, those that matter when its descriptor is replaced.
constexpr int kKeptFlags = O_ACCMODE | O_SYNC | O_DSYNC;

// An open file. Its descriptor keeps its number for life; what it refers to may be replaced.
class ForestFile final : public TreeFile {
 public:
  // `lent`: of the file whose bytes are lent, as it was when it was found unchanged.
  ForestFile(std::shared_ptr<NodeBook> book, ForestNodeRef node, HeldFile file,
             std::optional<struct stat> lent = {});
  ~ForestFile() override;
  int descriptor() const override { return file_->descriptor(); }
  bool is_lent() const override { return lent_.has_value(); }
  Status check_read() const override;
  const ForestNodeRef& node() const { return node_; }

 private:
  const std::shared_ptr<NodeBook> book_;
  const ForestNodeRef node_;
  const std::shared_ptr<TreeFile> file_;
  const std::optional<struct stat> lent_;
};

}  // namespace agentfs::trees
