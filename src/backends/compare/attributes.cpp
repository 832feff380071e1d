// SPDX-License-Identifier: MIT
#include "backends/compare/attributes.h"

#include <endian.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>

#include "backends/tree_xattrs.h"
#include "base/hash.h"
#include "base/json.h"

namespace agentfs::compare {
namespace {

constexpr const char* kAccessList = kAclNames.front();

// What the owner, the others and at most anybody else may do is in the mode, too, which is compared
// and merged for itself; in the list it is left out, and put in again. Its form is that of
// linux/posix_acl_xattr.h: a version, and a tag, permissions and an id for each entry.
void set_mode_in(std::string& list, mode_t mode) {
  struct Entry {
    std::uint16_t tag;
    std::uint16_t permissions;
    std::uint32_t id;
  };
  constexpr std::size_t kHeader = 4;
  constexpr std::uint16_t kOwner = 0x01;
  constexpr std::uint16_t kMask = 0x10;
  constexpr std::uint16_t kOther = 0x20;
  for (std::size_t at = kHeader; at + sizeof(Entry) <= list.size(); at += sizeof(Entry)) {
    Entry entry{};
    std::memcpy(&entry, list.data() + at, sizeof entry);
    const std::uint16_t tag = le16toh(entry.tag);
    if (tag != kOwner && tag != kMask && tag != kOther) continue;
    const unsigned shift = tag == kOwner ? 6 : tag == kMask ? 3 : 0;
    entry.permissions = htole16(static_cast<std::uint16_t>((mode >> shift) & 7U));
    std::memcpy(list.data() + at, &entry, sizeof entry);
  }
}

// What only a privileged daemon may set, or another disk does not know.
bool is_refused(const Status& set) {
  return !set && (is_unreadable(set.error()) || set.error().code == ENOTSUP);
}

using Value = std::optional<std::string>;

Value value_in(const FileAttributes& attributes, const std::string& name) {
  const auto found = attributes.xattrs.find(name);
  return found == attributes.xattrs.end() ? Value() : Value(found->second);
}

// Nothing where both have changed it, and not to the same.
template <class T>
std::optional<T> merged(const T& base, const T& ours, const T& theirs) {
  if (theirs == base || theirs == ours) return ours;
  if (ours == base) return theirs;
  return std::nullopt;
}

}  // namespace

FileAttributes attributes_of(const Leaf& leaf) {
  const struct stat& attributes = leaf.entry.attributes;
  FileAttributes found{.uid = attributes.st_uid,
                       .gid = attributes.st_gid,
                       .xattrs = xattrs_of(*leaf.store, *leaf.entry.node, is_of_file)};
  const auto list = found.xattrs.find(kAccessList);
  if (list != found.xattrs.end()) set_mode_in(list->second, 0);
  return found;
}

MergedAttributes merge_attributes(const FileAttributes& base, const FileAttributes& ours,
                                  const FileAttributes& theirs) {
  MergedAttributes result{.merged = {.uid = ours.uid, .gid = ours.gid}};
  const auto uid = merged(base.uid, ours.uid, theirs.uid);
  const auto gid = merged(base.gid, ours.gid, theirs.gid);
  if (!uid || !gid) result.clash = "owner";
  result.merged.uid = uid.value_or(ours.uid);
  result.merged.gid = gid.value_or(ours.gid);
  std::set<std::string> names;
  for (const auto* const side : {&base, &ours, &theirs}) {
    for (const auto& [name, value] : side->xattrs) names.insert(name);
  }
  for (const std::string& name : names) {
    const Value own = value_in(ours, name);
    const auto value = merged(value_in(base, name), own, value_in(theirs, name));
    if (!value) result.clash = name;
    const Value& taken = value ? *value : own;
    if (taken) result.merged.xattrs.emplace(name, *taken);
  }
  return result;
}

Status note_attributes(std::vector<MergeConflict>& conflicts, const TreeSide& theirs) {
  PathFinder finder(theirs);
  for (MergeConflict& conflict : conflicts) {
    if (!conflict.theirs.is_directory() && !conflict.theirs.is_regular()) continue;
    const auto found = finder.leaf(conflict.theirs_path);
    if (!found)
      return fail(ESTALE, "{}: gone meanwhile; merge again", text::shown(conflict.theirs_path));
    const FileAttributes its = attributes_of(*found);
    json::Array told{its.uid, its.gid};
    for (const auto& [name, value] : its.xattrs) {
      told.push_back(json::element_of(name));
      told.push_back(json::element_of(value));
    }
    conflict.theirs_attributes = blake2b(json::dump(std::move(told)));
  }
  return ok();
}

Status set_attributes(const Leaf& to, const FileAttributes& wanted, mode_t mode) {
  SetAttributes owner{.which = SetAttributes::uid | SetAttributes::gid};
  owner.values.st_uid = wanted.uid;
  owner.values.st_gid = wanted.gid;
  const auto owned = to.store->set_attributes(*to.entry.node, nullptr, owner, TreeCaller{});
  if (!owned && owned.error().code != EPERM) return std::unexpected(owned.error());
  for (const auto& [name, value] : attributes_of(to).xattrs) {
    if (wanted.xattrs.contains(name)) continue;
    static_cast<void>(to.store->remove_xattr(*to.entry.node, name, TreeCaller{}));
  }
  for (auto [name, value] : wanted.xattrs) {
    if (name == kAccessList) set_mode_in(value, mode);
    const Status set = to.store->set_xattr(*to.entry.node, name, value, 0, TreeCaller{});
    if (!set && !is_refused(set)) return set;
  }
  return ok();
}

}  // namespace agentfs::compare
