// SPDX-License-Identifier: MIT
// What the .gitignore files of a workspace or home name: build output, caches.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "kernel/gitignore.h"

namespace agentfs {

class Kernel;

// Answers by the rules as they are when a directory is first asked about; a value for one piece of
// work, one thread. Reads through the kernel's paths: not under its lock. That git tracks a file
// all the same is not known here.
class IgnoredPaths {
 public:
  explicit IgnoredPaths(Kernel& kernel) : kernel_(kernel) {}

  // "/workspaces/site/out/a.o"; what is at the top of a tree is not.
  bool is_ignored(const std::string& path);
  // Whether it was at that time (wall clock, nanoseconds), as far as is known: by rules that nobody
  // has changed since.
  bool was_ignored(const std::string& path, std::int64_t time);

 private:
  struct Scope {
    bool is_ignored = false;   // the directory itself: nothing below it is looked at
    std::int64_t changed = 0;  // the last of the files with rules
    std::shared_ptr<const GitIgnore> rules{};
  };
  // Of a directory below the root of a tree; "" is the root.
  const Scope& scope(const std::string& root, const std::string& directory);
  // As they are in the directory, on top of those above it.
  void read_rules(const std::string& path, const std::string& directory, Scope& scope);
  // What says so; null: nothing does.
  const Scope* ignoring(const std::string& path);
  std::int64_t change_of(const std::string& file) const;

  Kernel& kernel_;
  std::map<std::string, Scope, std::less<>> scopes_;  // by path of the mount
};

}  // namespace agentfs
