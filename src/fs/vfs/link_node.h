// SPDX-License-Identifier: MIT
// Symbolic links whose target depends on who asks.
#pragma once

#include <string>

#include "fs/vfs/context.h"

namespace agentfs::vfs {

// One object for each target, so that a target that was read may be cached. Threads: all.
class LinkNode final : public Node {
 public:
  LinkNode(ContextRef context, std::string path, std::string target)
      : context_(std::move(context)), path_(std::move(path)), target_(std::move(target)) {}
  ~LinkNode() override { context_->interned.forget(identity(path_, target_)); }

  mode_t type() const override { return S_IFLNK; }
  std::string path() const override { return path_; }
  Result<std::string> read_link(Request&) override { return target_; }
  Result<Attributes> attributes(Request&) override {
    Attributes answer{make_stat(*context_, path_, S_IFLNK | 0777U, context_->started), kForever};
    answer.attributes.st_size = static_cast<off_t>(target_.size());
    return answer;
  }

  static std::string identity(const std::string& path, const std::string& target) {
    return path + '\0' + target;
  }

 private:
  const ContextRef context_;
  const std::string path_;
  const std::string target_;
};

inline NodeRef find_link(const ContextRef& context, const std::string& path,
                         const std::string& target) {
  return context->interned.ensure(LinkNode::identity(path, target), [&]() -> NodeRef {
    return std::make_shared<LinkNode>(context, path, target);
  });
}

}  // namespace agentfs::vfs
