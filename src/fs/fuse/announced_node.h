// SPDX-License-Identifier: MIT
// A node as agentfs-announce sees it while one change is announced. Inside fs/fuse only.
#pragma once

#include "fs/fuse/inside/announcement.h"
#include "fs/vfs/node.h"
#include "fs/vfs/services.h"

namespace agentfs::fuse {

struct Announced {
  TreeEvent change{};
  // Shown under the change's path without a name left, as which the host's kernel tells who watches
  // it that it has gone. Null: the change itself is told.
  vfs::NodeRef left{};
};

// Stands in the place of a node for one operation. What the change is about is shown as it was
// before, and answered as done without being done; all else can be looked up, and not be changed.
// Where the state has moved on since, EBUSY, so that the host's kernel believes nothing that is not
// so.
class AnnouncedNode final : public vfs::Node {
 public:
  AnnouncedNode(vfs::NodeRef node, Announced current, const AnnouncementSecret& secret)
      : node_(std::move(node)),
        change_(std::move(current.change)),
        left_(std::move(current.left)),
        secret_(secret) {}

  mode_t type() const override { return node_->type(); }
  std::string path() const override { return node_->path(); }
  Result<vfs::Attributes> attributes(vfs::Request& request) override {
    return node_->attributes(request);
  }
  Result<vfs::Attributes> set_attributes(vfs::Request&, vfs::Handle*,
                                         const SetAttributes&) override;
  Result<vfs::Opened> open(vfs::Request&, int flags) override;
  Result<vfs::Found> lookup(vfs::Request&, const std::string& name) override;
  Result<vfs::CreatedNode> create(vfs::Request&, const std::string& name, int flags,
                                  mode_t mode) override;
  Result<vfs::Found> make_node(vfs::Request&, const std::string& name, mode_t, dev_t) override;
  Result<vfs::Found> make_directory(vfs::Request&, const std::string& name, mode_t) override;
  Result<vfs::Found> make_link(vfs::Request&, const std::string& name,
                               const std::string& target) override;
  Status unlink(vfs::Request&, const std::string& name) override;
  Status remove_directory(vfs::Request&, const std::string& name) override;
  Result<std::string> get_xattr(vfs::Request& request, const std::string& name) override {
    if (name == kSecretName) return std::string(secret_.data(), secret_.size());
    return node_->get_xattr(request, name);
  }

 private:
  bool is_about(const std::string& name) const;
  Result<vfs::Found> made(vfs::Request&, const std::string& name);
  Status removed(vfs::Request&, const std::string& name);

  vfs::NodeRef node_;
  TreeEvent change_;
  vfs::NodeRef left_;
  const AnnouncementSecret secret_;
};

}  // namespace agentfs::fuse
