// SPDX-License-Identifier: MIT
// Who changes a data tree without the host's kernel, and a tree to do so.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "backends/trees/trees.h"
#include "support/temporary.h"
#include "test_tree.h"

namespace agentfs::vfs {

struct Agent {
  Agent() : store(*open_tree_store(directory.path())), tree({{"/work", store.get()}}) {
    caller.process = {5};
    caller.via = "call:1";
  }
  Result<std::string> command(const std::string& path, const std::string& line) {
    return wait_for<std::string>([&](Completion<std::string> done) {
      tree.files.command(caller, path, line, std::move(done));
    });
  }
  std::string read(const std::string& path, std::uint64_t offset = 0, std::uint64_t limit = 0) {
    const auto text = tree.files.read(caller, path, offset, limit);
    INFO(path);
    REQUIRE(text);
    return *text;
  }

  test::TemporaryDirectory directory;
  std::unique_ptr<TreeStore> store;
  TestTree tree;
  Caller caller;
};

}  // namespace agentfs::vfs
