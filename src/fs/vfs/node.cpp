// SPDX-License-Identifier: MIT
// What a node does that does not say otherwise.
#include "fs/vfs/node.h"

#include <sys/xattr.h>

namespace agentfs::vfs {
namespace {

std::unexpected<Error> refuse_change(const Node& node, std::string_view what) {
  if (node.type() != S_IFDIR) return fail(ENOTDIR, "{}: not a directory", node.path());
  return fail(EPERM, "{}: {} is not possible here; the rows of a table make its entries",
              node.path(), what);
}

}  // namespace

Result<Attributes> Node::set_attributes(Request& request, Handle*, const SetAttributes& wanted) {
  constexpr unsigned kTimes = SetAttributes::atime | SetAttributes::mtime;
  if ((wanted.which & ~kTimes) == 0) return attributes(request);
  return fail(EPERM, "{}: its attributes are fixed", path());
}

Result<std::string> Node::read_link(Request&) {
  return fail(EINVAL, "{}: not a symbolic link", path());
}

Result<Opened> Node::open(Request&, int) {
  if (type() == S_IFDIR) return fail(EISDIR, "{}: a directory", path());
  if (type() == S_IFLNK) return fail(ELOOP, "{}: a symbolic link", path());
  return fail(ENOTSUP, "{}: cannot be opened", path());
}

Result<Found> Node::lookup(Request&, const std::string&) {
  return fail(ENOTDIR, "{}: not a directory", path());
}

Result<Opened> Node::open_directory(Request&) {
  return fail(ENOTDIR, "{}: not a directory", path());
}

Result<CreatedNode> Node::create(Request&, const std::string& name, int, mode_t) {
  return refuse_change(*this, "making " + name);
}

Result<CreatedNode> Node::create_nameless(Request&, int, mode_t) {
  return fail(EOPNOTSUPP, "{}: no files without a name are made here; in a data tree they are",
              path());
}

Result<Found> Node::make_node(Request&, const std::string& name, mode_t, dev_t) {
  return refuse_change(*this, "making " + name);
}

Result<Found> Node::make_directory(Request&, const std::string& name, mode_t) {
  return refuse_change(*this, "making the directory " + name);
}

Result<Found> Node::make_link(Request&, const std::string& name, const std::string&) {
  return refuse_change(*this, "making the link " + name);
}

Result<Found> Node::link(Request&, Node&, const std::string& name) {
  return refuse_change(*this, "making the hard link " + name);
}

Status Node::unlink(Request&, const std::string& name) {
  return refuse_change(*this, "removing " + name);
}

Status Node::remove_directory(Request&, const std::string& name) {
  return refuse_change(*this, "removing " + name);
}

Status Node::rename(Request&, const std::string& name, Node&, const std::string&, unsigned) {
  return refuse_change(*this, "renaming " + name);
}

void Node::start_rename(Request& request, const std::string& name, Node& new_parent,
                        const std::string& new_name, unsigned flags, Completion<Nothing> done) {
  done.complete(rename(request, name, new_parent, new_name, flags));
}

Result<struct statvfs> Node::statistics(Request&) {
  struct statvfs all{};
  all.f_bsize = 4096;
  all.f_frsize = 4096;
  all.f_namemax = 255;
  return all;
}

Status Node::access(Request&, int) { return ok(); }

Status Node::set_xattr(Request&, const std::string& name, std::string_view, int) {
  return fail(ENOTSUP, "{}: has no extended attributes ({})", path(), name);
}

Result<std::string> Node::get_xattr(Request&, const std::string& name) {
  return fail(ENODATA, "{}: has no extended attributes ({})", path(), name);
}

Result<std::string> Node::list_xattr(Request&) { return std::string(); }

Status Node::remove_xattr(Request&, const std::string& name) {
  return fail(ENODATA, "{}: has no extended attributes ({})", path(), name);
}

}  // namespace agentfs::vfs
