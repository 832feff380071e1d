// SPDX-License-Identifier: MIT
// What the tests of the data trees share: a directory for several users, a store over one,
// and the system calls of a plain directory answered as errno.
#pragma once

#include <ftw.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "backends/trees/trees.h"
#include "catch.h"
#include "support/must.h"
#include "support/temporary.h"

namespace agentfs::test {

// One that other users reach, too.
class SharedDirectory : public TemporaryDirectory {
 public:
  SharedDirectory() { REQUIRE(::chmod(path().c_str(), 0777) == 0); }
};

inline std::unique_ptr<TreeStore> open_store(const std::string& path, TreeOptions options = {}) {
  auto store = open_tree_store(path, options);
  REQUIRE(store.has_value());
  return std::move(*store);
}

// 0, or the errno of a Result.
template <class T>
int code_of(const Result<T>& result) {
  return result ? 0 : result.error().code;
}

// 0, or the errno of a system call that has just returned.
inline int plain(long returned) { return returned < 0 ? errno : 0; }

inline const TreeCaller kMyself{};

inline TreeNodeRef make_file(TreeStore& store, const TreeNode& parent, const std::string& name,
                             const std::string& bytes = {}) {
  auto made = must(store.create(parent, name, O_RDWR, 0644, kMyself));
  REQUIRE(::write(made.file->descriptor(), bytes.data(), bytes.size()) ==
          static_cast<ssize_t>(bytes.size()));
  return made.entry.node;
}

inline TreeNodeRef make_directory(TreeStore& store, const TreeNode& parent,
                                  const std::string& name) {
  return must(store.make_directory(parent, name, 0755, kMyself)).node;
}

inline std::string read_file(TreeStore& store, const TreeNode& node) {
  const auto opened = must(store.open(node, O_RDONLY, kMyself));
  return must(file::read(opened->descriptor()));
}

inline bool is_root() { return ::geteuid() == 0; }

}  // namespace agentfs::test
