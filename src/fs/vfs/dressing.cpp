// SPDX-License-Identifier: MIT
#include "fs/vfs/dressing.h"

#include "base/permissions.h"
#include "base/text.h"

namespace agentfs::vfs {

Result<Xattrs> xattrs_of(Request& request, Node& node) {
  Xattrs all;
  const auto names = node.list_xattr(request);
  TRY(disk_error_of(names));
  if (!names) return all;
  for (const std::string_view part : text::split(*names, '\0')) {
    if (part.empty() || !is_brought(part)) continue;
    std::string name(part);
    auto value = node.get_xattr(request, name);
    TRY(disk_error_of(value));
    if (value) all.emplace(std::move(name), *std::move(value));
  }
  return all;
}

// ACLs come last: they may forbid their owner to set the others.
Status set_xattrs(Request& request, const Xattrs& xattrs, Node& to) {
  for (const bool is_last : {false, true}) {
    for (const auto& [name, value] : xattrs) {
      if (name.starts_with("user.agentfs.") || is_acl(name) != is_last) continue;
      TRY(disk_error_of(to.set_xattr(request, name, value, 0)));
    }
  }
  return ok();
}

Status drop_inherited_acls(Request& request, const Xattrs& from, Node& to) {
  for (const char* const name : kAclNames) {
    const bool is_own = from.contains(name);
    if (is_own || !to.get_xattr(request, name)) continue;
    TRY(disk_error_of(to.remove_xattr(request, name)));
  }
  return ok();
}

mode_t without_group(mode_t mode) { return mode & (~mode_t{S_IRWXG} | ((mode & S_IRWXO) << 3U)); }

Status dress_like(Request& request, const Found& old, Node& made, Handle& handle) {
  Xattrs had = TRY(xattrs_of(request, *old.node));
  had.erase(kCapabilityName);                    // a write takes them away
  TRY(drop_inherited_acls(request, had, made));  // first: they take room that the others need
  TRY(set_xattrs(request, had, made));
  SetAttributes owner{.which = SetAttributes::uid | SetAttributes::gid};
  owner.values.st_uid = old.attributes.st_uid;
  owner.values.st_gid = old.attributes.st_gid;
  const auto set_owner = [&]() -> Result<bool> {
    const auto done = made.set_attributes(request, &handle, owner);
    TRY(disk_error_of(done));
    return done.has_value();
  };
  const bool is_given = TRY(set_owner());
  owner.which = SetAttributes::gid;
  const bool has_group = is_given || TRY(set_owner());
  SetAttributes mode{.which = SetAttributes::mode};
  mode.values.st_mode = old.attributes.st_mode & kPermissions;
  if (!is_given || request.tree().uid != 0) mode.values.st_mode &= ~mode_t{S_ISUID | S_ISGID};
  if (!has_group) mode.values.st_mode = without_group(mode.values.st_mode);
  TRY(made.set_attributes(request, &handle, mode));
  return ok();
}

}  // namespace agentfs::vfs
