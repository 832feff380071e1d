// SPDX-License-Identifier: MIT
// The place of a data tree in a session that does not serve it.
#pragma once

#include <string>

#include "fs/vfs/context.h"
#include "fs/vfs/directory_handle.h"

namespace agentfs::vfs {

// An empty directory, over which another session's is bound: two sessions that served the same
// files would each believe what it has cached of them. One object a path. Threads: all.
class CoveredNode final : public Node {
 public:
  CoveredNode(ContextRef context, std::string path)
      : context_(std::move(context)), path_(std::move(path)) {}
  ~CoveredNode() override { context_->interned.forget(identity(path_)); }

  mode_t type() const override { return S_IFDIR; }
  std::string path() const override { return path_; }
  Result<Attributes> attributes(Request&) override {
    return Attributes{make_stat(*context_, path_, S_IFDIR | 0555U, context_->started), kForever};
  }
  Result<Found> lookup(Request&, const std::string& name) override {
    return fail(ENOENT, "{}: {} is served by another session, which is not bound here",
                child_path(path_, name), path_);
  }
  Result<Opened> open_directory(Request&) override {
    return Opened{std::make_shared<DirectoryHandle>(path_, std::vector<DirectoryItem>()), {}};
  }

  static std::string identity(const std::string& path) { return path + '\0'; }

 private:
  const ContextRef context_;
  const std::string path_;
};

inline NodeRef find_covered(const ContextRef& context, const std::string& path) {
  return context->interned.ensure(CoveredNode::identity(path), [&]() -> NodeRef {
    return std::make_shared<CoveredNode>(context, path);
  });
}

}  // namespace agentfs::vfs
