// SPDX-License-Identifier: MIT
// An operation of an agent, which does not come through the host's kernel: done with its owner's
// rights.
#pragma once

#include <optional>

#include "fs/vfs/context.h"

namespace agentfs::vfs {

class LocalRequest final : public Request {
 public:
  // What a name is to lead to still, as it was, when a rename gives it to another file.
  struct Expected {
    NodeRef node{};  // null: nothing
    struct stat attributes{};
  };
  explicit LocalRequest(Caller caller)
      : caller_(std::move(caller)),
        tree_{caller_.host.uid, caller_.host.gid, 0, 022, caller_.host.groups} {
    // The author is the process that acts, whoever's request made it act.
    host_.uid = caller_.host.uid;
    host_.gid = caller_.host.gid;
  }
  const HostCaller& host() const override { return host_; }
  const Caller& caller() const override { return caller_; }
  Result<Caller> writer() const override { return caller_; }
  TreeCaller tree() const override { return tree_; }
  bool may_block() const override { return false; }

  // Of the renames from here on: ESTALE where it is another, or has been written to.
  void expect(std::optional<Expected> expected) { expected_ = std::move(expected); }
  const std::optional<Expected>& expected() const { return expected_; }
  // Of the removals from here on: of directories that the operation itself has made. What they had
  // driven out of the trash, a version (0: nothing), is there again, and they are not kept.
  void take_back(std::optional<std::uint64_t> trashed) { taken_back_ = trashed; }
  const std::optional<std::uint64_t>& taken_back() const { return taken_back_; }
  void note_touched() { ++touched_; }
  std::size_t touched() const { return touched_; }  // how often it was

 private:
  const Caller caller_;
  const TreeCaller tree_;
  std::optional<Expected> expected_{};
  std::optional<std::uint64_t> taken_back_{};
  std::size_t touched_ = 0;
  HostCaller host_;  // pid 0: no process of the host
};

}  // namespace agentfs::vfs
