// SPDX-License-Identifier: MIT
// The requests of the protocol by name.
#include <cstring>

#include "base/text.h"
#include "wire/wire_kernel.h"

namespace agentfs::test {
namespace {

std::string named(std::string_view name) { return std::string(name) + '\0'; }

// Entries are padded to eight bytes.
Result<std::vector<WireDirent>> parse_entries(const Result<std::string>& answer, bool plus) {
  if (!answer) return std::unexpected(answer.error());
  std::vector<WireDirent> found;
  std::string_view rest = *answer;
  while (!rest.empty()) {
    WireDirent item;
    if (plus) {
      const auto entry = TRY(wire_struct<fuse_entry_out>(std::string(rest)));
      item.node = entry.nodeid;
      rest.remove_prefix(sizeof entry);
    }
    fuse_dirent head{};
    if (rest.size() < FUSE_NAME_OFFSET) return fail(EPROTO, "a cut entry");
    std::memcpy(&head, rest.data(), FUSE_NAME_OFFSET);
    const std::size_t size = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + head.namelen);
    if (rest.size() < size) return fail(EPROTO, "a cut entry");
    item.name = rest.substr(FUSE_NAME_OFFSET, head.namelen);
    item.inode = head.ino;
    item.type = head.type;
    item.next_offset = head.off;
    found.push_back(std::move(item));
    rest.remove_prefix(size);
  }
  return found;
}

std::string read_body(const WireKernel::Place& place, std::uint32_t size) {
  fuse_read_in in{};
  in.fh = place.handle;
  in.offset = place.offset;
  in.size = size;
  in.flags = static_cast<std::uint32_t>(place.flags);
  return wire_bytes(in);
}

}  // namespace

Result<fuse_init_out> WireKernel::init(std::uint32_t flags) {
  fuse_init_in in{};
  in.major = FUSE_KERNEL_VERSION;
  in.minor = FUSE_KERNEL_MINOR_VERSION;
  in.max_readahead = 128 * 1024;
  in.flags = flags & ~static_cast<std::uint32_t>(FUSE_INIT_RESERVED);
  return wire_struct<fuse_init_out>(call(FUSE_INIT, 0, wire_bytes(in)));
}

Result<fuse_entry_out> WireKernel::lookup(std::uint64_t parent, std::string_view name) {
  const auto entry = TRY(answer_to_lookup(parent, name));
  if (entry.nodeid == 0) return fail(ENOENT, "{}: is not there", name);
  return entry;
}

Result<fuse_entry_out> WireKernel::answer_to_lookup(std::uint64_t parent, std::string_view name) {
  return wire_struct<fuse_entry_out>(call(FUSE_LOOKUP, parent, named(name)));
}

Result<fuse_entry_out> WireKernel::walk(std::string_view path) {
  fuse_entry_out entry{};
  entry.nodeid = FUSE_ROOT_ID;
  for (const std::string_view name : text::split(path, '/')) {
    if (!name.empty()) entry = TRY(lookup(entry.nodeid, name));
  }
  return entry;
}

void WireKernel::forget(std::uint64_t node, std::uint64_t lookups) {
  static_cast<void>(send(FUSE_FORGET, node, wire_bytes(fuse_forget_in{lookups})));
}

Result<fuse_attr_out> WireKernel::attributes(std::uint64_t node) {
  return wire_struct<fuse_attr_out>(call(FUSE_GETATTR, node, wire_bytes(fuse_getattr_in{})));
}

Result<fuse_attr_out> WireKernel::set_attributes(std::uint64_t node,
                                                 const fuse_setattr_in& wanted) {
  return wire_struct<fuse_attr_out>(call(FUSE_SETATTR, node, wire_bytes(wanted)));
}

Result<fuse_open_out> WireKernel::open(std::uint64_t node, int flags) {
  const fuse_open_in in{.flags = static_cast<std::uint32_t>(flags), .open_flags = 0};
  return wire_struct<fuse_open_out>(call(FUSE_OPEN, node, wire_bytes(in)));
}

Result<fuse_open_out> WireKernel::open_directory(std::uint64_t node) {
  return wire_struct<fuse_open_out>(call(FUSE_OPENDIR, node, wire_bytes(fuse_open_in{})));
}

Result<std::pair<fuse_entry_out, fuse_open_out>> WireKernel::create(std::uint64_t parent,
                                                                    std::string_view name,
                                                                    int flags, mode_t mode) {
  const fuse_create_in in{
      .flags = static_cast<std::uint32_t>(flags), .mode = mode, .umask = 0, .open_flags = 0};
  const auto answer = call(FUSE_CREATE, parent, wire_bytes(in) + named(name));
  const auto entry = TRY(wire_struct<fuse_entry_out>(answer));
  return std::pair(entry, TRY(wire_struct<fuse_open_out>(answer->substr(sizeof entry))));
}

std::uint64_t WireKernel::start_read(const Place& place, std::uint32_t size) {
  return send(FUSE_READ, place.node, read_body(place, size));
}

std::uint64_t WireKernel::start_write(const Place& place, std::string_view bytes) {
  fuse_write_in in{};
  in.fh = place.handle;
  in.offset = place.offset;
  in.size = static_cast<std::uint32_t>(bytes.size());
  in.flags = static_cast<std::uint32_t>(place.flags);
  return send(FUSE_WRITE, place.node, wire_bytes(in) + std::string(bytes));
}

Result<std::string> WireKernel::read(const Place& place, std::uint32_t size) {
  return await(start_read(place, size));
}

Result<std::uint32_t> WireKernel::write(const Place& place, std::string_view bytes) {
  return TRY(wire_struct<fuse_write_out>(await(start_write(place, bytes)))).size;
}

Result<std::string> WireKernel::flush(const Place& place) {
  fuse_flush_in in{};
  in.fh = place.handle;
  return call(FUSE_FLUSH, place.node, wire_bytes(in));
}

Result<std::string> WireKernel::release(const Place& place) {
  fuse_release_in in{};
  in.fh = place.handle;
  return call(FUSE_RELEASE, place.node, wire_bytes(in));
}

Result<std::string> WireKernel::release_directory(const Place& place) {
  fuse_release_in in{};
  in.fh = place.handle;
  return call(FUSE_RELEASEDIR, place.node, wire_bytes(in));
}

Result<std::string> WireKernel::fsync(const Place& place) {
  fuse_fsync_in in{};
  in.fh = place.handle;
  return call(FUSE_FSYNC, place.node, wire_bytes(in));
}

Result<std::vector<WireDirent>> WireKernel::list(const Place& place, std::uint32_t size) {
  return parse_entries(call(FUSE_READDIR, place.node, read_body(place, size)), false);
}

Result<std::vector<WireDirent>> WireKernel::list_plus(const Place& place, std::uint32_t size) {
  return parse_entries(call(FUSE_READDIRPLUS, place.node, read_body(place, size)), true);
}

Result<unsigned> WireKernel::poll(const Place& place, std::uint64_t wake) {
  fuse_poll_in in{};
  in.fh = place.handle;
  in.kh = wake;
  in.flags = wake != 0 ? FUSE_POLL_SCHEDULE_NOTIFY : 0;
  in.events = 0xFFFF;
  return TRY(wire_struct<fuse_poll_out>(call(FUSE_POLL, place.node, wire_bytes(in)))).revents;
}

Result<std::string> WireKernel::unlink(std::uint64_t parent, std::string_view name) {
  return call(FUSE_UNLINK, parent, named(name));
}

Result<std::string> WireKernel::remove_directory(std::uint64_t parent, std::string_view name) {
  return call(FUSE_RMDIR, parent, named(name));
}

Result<fuse_entry_out> WireKernel::make_directory(std::uint64_t parent, std::string_view name,
                                                  mode_t mode) {
  const fuse_mkdir_in in{.mode = mode, .umask = 0};
  return wire_struct<fuse_entry_out>(call(FUSE_MKDIR, parent, wire_bytes(in) + named(name)));
}

std::uint64_t WireKernel::start_rename(const Name& from, const Name& to, unsigned flags) {
  const fuse_rename2_in in{.newdir = to.parent, .flags = flags, .padding = 0};
  return send(FUSE_RENAME2, from.parent, wire_bytes(in) + named(from.name) + named(to.name));
}

Result<std::uint64_t> WireKernel::seek(const Place& place, int whence) {
  fuse_lseek_in in{};
  in.fh = place.handle;
  in.offset = place.offset;
  in.whence = static_cast<std::uint32_t>(whence);
  return TRY(wire_struct<fuse_lseek_out>(call(FUSE_LSEEK, place.node, wire_bytes(in)))).offset;
}

Result<std::string> WireKernel::allocate(const Place& place, std::uint64_t length,
                                         std::uint32_t mode) {
  fuse_fallocate_in in{};
  in.fh = place.handle;
  in.offset = place.offset;
  in.length = length;
  in.mode = mode;
  return call(FUSE_FALLOCATE, place.node, wire_bytes(in));
}

Result<std::uint32_t> WireKernel::copy_range(const Place& from, const Place& to,
                                             std::uint64_t length) {
  fuse_copy_file_range_in in{};
  in.fh_in = from.handle;
  in.off_in = from.offset;
  in.nodeid_out = to.node;
  in.fh_out = to.handle;
  in.off_out = to.offset;
  in.len = length;
  return TRY(wire_struct<fuse_write_out>(call(FUSE_COPY_FILE_RANGE, from.node, wire_bytes(in))))
      .size;
}

// Without FUSE_SETXATTR_EXT, which is not asked for, the struct has its first two words only.
Result<std::string> WireKernel::set_xattr(std::uint64_t node, std::string_view name,
                                          std::string_view value) {
  fuse_setxattr_in in{};
  in.size = static_cast<std::uint32_t>(value.size());
  const std::string head = wire_bytes(in).substr(0, FUSE_COMPAT_SETXATTR_IN_SIZE);
  return call(FUSE_SETXATTR, node, head + named(name) + std::string(value));
}

Result<std::string> WireKernel::get_xattr(std::uint64_t node, std::string_view name,
                                          std::uint32_t room) {
  const fuse_getxattr_in in{.size = room, .padding = 0};
  return call(FUSE_GETXATTR, node, wire_bytes(in) + named(name));
}

}  // namespace agentfs::test
