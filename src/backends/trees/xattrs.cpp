// SPDX-License-Identifier: MIT
// Extended attributes. The calls take no O_PATH descriptor, but a path through /proc/self/fd leads
// to the file itself and no further: for a symbolic link, to the link.
#include <sys/xattr.h>

#include "backends/trees/directory_tree.h"
#include "base/copy.h"
#include "base/text.h"

namespace agentfs::trees {
namespace {

// Calls twice: for the length, then for the value; again if it grew in between.
template <class Call>
Result<std::string> sized(const Call& call, const std::string& object) {
  for (;;) {
    const ssize_t length = call(nullptr, 0);
    if (length < 0) return fail_errno(object);
    std::string value(static_cast<std::size_t>(length), '\0');
    if (length == 0) return value;
    const ssize_t got = call(value.data(), value.size());
    if (got < 0 && errno == ERANGE) continue;
    if (got < 0) return fail_errno(object);
    value.resize(static_cast<std::size_t>(got));
    return value;
  }
}

}  // namespace

Status DirectoryTree::set_xattr(const TreeNode& node, const std::string& name,
                                std::string_view value, int flags, const TreeCaller& caller) {
  const Borrowed fd = TRY(table_->borrow(node));
  const std::string path = fd.path();
  if (name == kCapabilityName) static_cast<const DiskNode&>(node).has_no_capabilities = false;
  // An ACL changes the mode, and who is not in the group takes the set-group-id bit with it.
  const auto groups = is_acl(name) ? CallerScope::Groups::all : CallerScope::Groups::none;
  const int code = as_caller(
      daemon_, caller,
      [&] { return ::setxattr(path.c_str(), name.c_str(), value.data(), value.size(), flags); },
      groups);
  if (code != 0) return fail_errno(code, text::shown(name));
  return ok();
}

Result<std::string> DirectoryTree::get_xattr(const TreeNode& node, const std::string& name) {
  if (name == kCapabilityName && static_cast<const DiskNode&>(node).has_no_capabilities) {
    return fail_errno(ENODATA, name);
  }
  const Borrowed fd = TRY(table_->borrow(node));
  const std::string path = fd.path();
  return sized(
      [&](char* bytes, std::size_t size) {
        return ::getxattr(path.c_str(), name.c_str(), bytes, size);
      },
      text::shown(name));
}

Result<std::string> DirectoryTree::list_xattr(const TreeNode& node) {
  const Borrowed fd = TRY(table_->borrow(node));
  const std::string path = fd.path();
  return sized(
      [&](char* bytes, std::size_t size) { return ::listxattr(path.c_str(), bytes, size); },
      "attributes");
}

Status DirectoryTree::remove_xattr(const TreeNode& node, const std::string& name,
                                   const TreeCaller& caller) {
  const Borrowed fd = TRY(table_->borrow(node));
  const std::string path = fd.path();
  const int code =
      as_caller(daemon_, caller, [&] { return ::removexattr(path.c_str(), name.c_str()); });
  if (code != 0) return fail_errno(code, text::shown(name));
  return ok();
}

}  // namespace agentfs::trees
