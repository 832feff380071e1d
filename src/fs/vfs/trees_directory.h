// SPDX-License-Identifier: MIT
// A directory of states of a data tree: `.agentfs/snapshots`.
#pragma once

#include "fs/vfs/row_file.h"
#include "fs/vfs/scratch_home.h"

namespace agentfs::vfs {

// Of a row of kind trees. What is below its names are nodes of the data tree itself. Threads: all.
class TreesDirectory final : public ScratchHome {
 public:
  TreesDirectory(ContextRef context, RowPlace place)
      : ScratchHome(std::move(context), place.path), place_(std::move(place)) {}

  Result<Attributes> attributes(Request& request) override;
  void receive(Request& request, const std::string& name, std::string text,
               Completion<Nothing> done) override;

 protected:
  Result<Found> find_entry(Request& request, const std::string& name) override;
  Result<std::vector<DirectoryItem>> entries(Request& request) override;

 private:
  const RowPlace place_;
};

}  // namespace agentfs::vfs
