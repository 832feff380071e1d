// SPDX-License-Identifier: MIT
#include "fs/fuse/announced_node.h"

#include <unistd.h>

#include "base/text.h"

namespace agentfs::fuse {
namespace {

using Kind = TreeEvent::Kind;

// What was removed, for as long as it takes to be removed once more.
class DepartedNode final : public vfs::Node {
 public:
  explicit DepartedNode(const TreeEvent& change)
      : type_(S_ISDIR(change.type) ? S_IFDIR : S_IFREG), path_(change.path) {}
  mode_t type() const override { return type_; }
  std::string path() const override { return path_; }
  Result<vfs::Attributes> attributes(vfs::Request&) override {
    struct stat shown{};
    shown.st_ino = reinterpret_cast<std::uintptr_t>(this);
    shown.st_mode = type_ | 0700U;
    shown.st_nlink = 1;
    shown.st_uid = ::geteuid();
    shown.st_gid = ::getegid();
    return vfs::Attributes{shown, 0};
  }

 private:
  const mode_t type_;
  const std::string path_;
};

class AnnouncedHandle final : public vfs::Handle {
 public:
  void write(vfs::Request&, off_t, std::string_view bytes, Completion<std::size_t> done) override {
    done.complete(bytes.size());
  }
  Status flush(vfs::Request&) override { return ok(); }
  void release() override {}
};

// Past the cache: no page of the file is touched.
vfs::Opened announced() { return {std::make_shared<AnnouncedHandle>(), {.direct_io = true}}; }

std::unexpected<Error> moved_on(const TreeEvent& change) {
  return fail(EBUSY, "{}: has changed again since", change.path);
}

Result<vfs::Found> with_no_name(vfs::Request& request, const vfs::NodeRef& left) {
  auto attributes = left->attributes(request);
  if (!attributes && left->type() != S_IFDIR) return std::unexpected(attributes.error());
  struct stat shown{};  // of a directory that may not be asked any more
  shown.st_mode = S_IFDIR;
  if (attributes) shown = attributes->attributes;
  shown.st_nlink = 0;
  return vfs::Found{left, shown, {}};
}

vfs::Found unremembered(vfs::Found found) {
  found.validity = {};
  return found;
}

}  // namespace

bool AnnouncedNode::is_about(const std::string& name) const {
  const std::string_view path = change_.path;
  return text::last_part(path) == name && text::parent_part(path) == node_->path();
}

Result<vfs::Attributes> AnnouncedNode::set_attributes(vfs::Request& request, vfs::Handle*,
                                                      const SetAttributes&) {
  return node_->attributes(request);
}

Result<vfs::Opened> AnnouncedNode::open(vfs::Request&, int) {
  if (change_.path != node_->path()) return moved_on(change_);
  return announced();
}

Result<vfs::Found> AnnouncedNode::lookup(vfs::Request& request, const std::string& name) {
  if (left_ != nullptr && is_about(name)) return with_no_name(request, left_);
  auto found = node_->lookup(request, name);
  if (!is_about(name)) return found;
  if (change_.kind == Kind::made) return fail(ENOENT, "{}: not yet", change_.path);
  if (change_.kind != Kind::removed || found) return found;
  auto departed = std::make_shared<DepartedNode>(change_);
  const struct stat attributes = TRY(departed->attributes(request)).attributes;
  return vfs::Found{std::move(departed), attributes, {}};
}

Result<vfs::Found> AnnouncedNode::made(vfs::Request& request, const std::string& name) {
  if (!is_about(name) || change_.kind != Kind::made) return moved_on(change_);
  return unremembered(TRY(node_->lookup(request, name)));
}

Result<vfs::CreatedNode> AnnouncedNode::create(vfs::Request& request, const std::string& name, int,
                                               mode_t) {
  vfs::Found found = TRY(made(request, name));
  if (found.node->type() != S_IFREG) return moved_on(change_);
  return vfs::CreatedNode{std::move(found), announced()};
}

Result<vfs::Found> AnnouncedNode::make_node(vfs::Request& request, const std::string& name, mode_t,
                                            dev_t) {
  return made(request, name);
}

Result<vfs::Found> AnnouncedNode::make_directory(vfs::Request& request, const std::string& name,
                                                 mode_t) {
  vfs::Found found = TRY(made(request, name));
  if (found.node->type() != S_IFDIR) return moved_on(change_);
  return found;
}

Result<vfs::Found> AnnouncedNode::make_link(vfs::Request& request, const std::string& name,
                                            const std::string&) {
  vfs::Found found = TRY(made(request, name));
  if (found.node->type() != S_IFLNK) return moved_on(change_);
  return found;
}

Status AnnouncedNode::removed(vfs::Request& request, const std::string& name) {
  if (!is_about(name) || change_.kind != Kind::removed) return moved_on(change_);
  if (node_->lookup(request, name)) return moved_on(change_);
  return ok();
}

Status AnnouncedNode::unlink(vfs::Request& request, const std::string& name) {
  return removed(request, name);
}

Status AnnouncedNode::remove_directory(vfs::Request& request, const std::string& name) {
  return removed(request, name);
}

}  // namespace agentfs::fuse
