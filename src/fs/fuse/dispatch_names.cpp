// SPDX-License-Identifier: MIT
// Operations on the names of a directory, and on open directories.
#include <algorithm>

#include "fs/fuse/scope.h"

namespace agentfs::fuse {
namespace {

void do_lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  Scope scope(request, "lookup");
  double absence = 0;
  const auto found = on_node(scope, parent, [&](vfs::Node& node) {
    auto entry = node.lookup(scope.asked, name);
    if (!entry && entry.error().code == ENOENT) absence = node.absence_validity(name);
    return entry;
  });
  const bool may_last = absence > 0 && scope.context.channel->may_tell_absence() &&
                        !scope.context.announcer->is_removing();
  if (!found && may_last) return scope.absent(absence);
  scope.entry(found);
}

void do_mknod(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t device) {
  Scope scope(request, "mknod");
  scope.entry(on_node(scope, parent, [&](vfs::Node& node) {
    return node.make_node(scope.asked, name, mode, device);
  }));
}

void do_mkdir(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
  Scope scope(request, "mkdir");
  scope.entry(on_node(scope, parent, [&](vfs::Node& node) {
    return node.make_directory(scope.asked, name, mode);
  }));
}

void do_symlink(fuse_req_t request, const char* target, fuse_ino_t parent, const char* name) {
  Scope scope(request, "symlink");
  scope.entry(on_node(scope, parent,
                      [&](vfs::Node& node) { return node.make_link(scope.asked, name, target); }));
}

void do_link(fuse_req_t request, fuse_ino_t id, fuse_ino_t parent, const char* name) {
  Scope scope(request, "link");
  scope.entry(on_node(scope, parent, [&](vfs::Node& directory) -> Result<vfs::Found> {
    const vfs::NodeRef existing = TRY(scope.node(id));
    return directory.link(scope.asked, *existing, name);
  }));
}

void do_unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
  Scope scope(request, "unlink");
  scope.reply(
      on_node(scope, parent, [&](vfs::Node& node) { return node.unlink(scope.asked, name); }));
}

void do_rmdir(fuse_req_t request, fuse_ino_t parent, const char* name) {
  Scope scope(request, "rmdir");
  scope.reply(on_node(scope, parent,
                      [&](vfs::Node& node) { return node.remove_directory(scope.asked, name); }));
}

// A text renamed onto a reply file is a request, which may be answered later.
void do_rename(fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
               const char* new_name, unsigned flags) {
  Scope scope(request, "rename");
  const auto from = scope.node(parent);
  if (!from) return reply_error(request, from.error());
  const auto to = scope.node(new_parent);
  if (!to) return reply_error(request, to.error());
  answer<Nothing>(
      request, scope.context.parked,
      [&](const Completion<Nothing>& done) {
        (*from)->start_rename(scope.asked, name, **to, new_name, flags, done);
      },
      [kept = std::pair(*from, *to)](fuse_req_t held, const Status& status) {
        reply_status(held, status);
      });
}

// --- open directories

void do_opendir(fuse_req_t request, fuse_ino_t id, fuse_file_info* info) {
  Scope scope(request, "opendir", info->flags);
  scope.opened(
      id, opening(scope, id, [&](vfs::Node& node) { return node.open_directory(scope.asked); }),
      info);
}

void do_releasedir(fuse_req_t request, fuse_ino_t id, fuse_file_info* info) {
  Scope scope(request, "releasedir");
  scope.release(id, info);
  scope.reply(ok());
}

void do_fsyncdir(fuse_req_t request, fuse_ino_t, int data_only, fuse_file_info* info) {
  Scope scope(request, "fsyncdir");
  scope.reply(on_handle(
      scope, info, [&](vfs::Handle& handle) { return handle.fsync(scope.asked, data_only != 0); }));
}

// One buffer of a listing. With attributes, each entry is looked up as well, which is what the
// kernel would ask for next.
class Listing {
 public:
  Listing(Scope& scope, vfs::Node& directory, std::size_t room, bool attributes)
      : scope_(scope),
        directory_(directory),
        attributes_(attributes),
        buffer_(std::min(room, kLargestAnswer), '\0') {}

  bool add(const vfs::DirectoryItem& item) {
    const char* const name = item.name.c_str();
    char* const place = buffer_.data() + used_;
    const std::size_t left = buffer_.size() - used_;
    fuse_entry_param entry{};
    entry.attr.st_ino = item.inode;
    entry.attr.st_mode = item.type;
    const auto put = [&](char* to, std::size_t room) {
      return attributes_ ? ::fuse_add_direntry_plus(scope_.request, to, room, name, &entry,
                                                    item.next_offset)
                         : ::fuse_add_direntry(scope_.request, to, room, name, &entry.attr,
                                               item.next_offset);
    };
    if (put(nullptr, 0) > left) return false;  // what is cut off has counted no lookup
    const bool self = item.name == "." || item.name == "..";
    if (attributes_ && !self && directory_.lists_attributes() && !is_known(item.name)) {
      look_up(item.name, entry);
    }
    used_ += put(place, left);
    if (entry.ino != 0) counted_.push_back(entry.ino);
    return true;
  }

  void send() {
    if (::fuse_reply_buf(scope_.request, buffer_.data(), used_) == 0) return;
    for (const std::uint64_t id : counted_) scope_.context.channel->forget(id, 1);
  }
  bool empty() const { return used_ == 0; }

 private:
  // Of what the host's kernel holds nothing has to be found out again.
  bool is_known(const std::string& name) const {
    const vfs::NodeRef node = directory_.told_entry(name);
    return node != nullptr && scope_.context.channel->known(node.get()) != 0;
  }
  void look_up(const std::string& name, fuse_entry_param& entry) {
    const auto found = directory_.lookup(scope_.asked, name);
    if (!found) return;  // gone meanwhile: listed without attributes, as readdir would
    entry = entry_of(*found, scope_.context.channel->remember(found->node));
  }

  Scope& scope_;
  vfs::Node& directory_;
  bool attributes_;
  std::string buffer_;
  std::size_t used_ = 0;
  std::vector<std::uint64_t> counted_;
};

void list(Scope& scope, fuse_ino_t id, std::size_t room, off_t offset, fuse_file_info* info,
          bool attributes) {
  const auto node = scope.node(id);
  if (!node) return reply_error(scope.request, node.error());
  Listing listing(scope, **node, room, attributes);
  const Status read = on_handle(scope, info, [&](vfs::Handle& handle) {
    return handle.read_directory(scope.asked, offset,
                                 [&](const vfs::DirectoryItem& item) { return listing.add(item); });
  });
  // An error after some entries comes again with the next call; those entries are good.
  if (!read && listing.empty()) return reply_error(scope.request, read.error());
  listing.send();
}

void do_readdir(fuse_req_t request, fuse_ino_t id, std::size_t room, off_t offset,
                fuse_file_info* info) {
  Scope scope(request, "readdir");
  list(scope, id, room, offset, info, false);
}

void do_readdirplus(fuse_req_t request, fuse_ino_t id, std::size_t room, off_t offset,
                    fuse_file_info* info) {
  Scope scope(request, "readdirplus");
  list(scope, id, room, offset, info, true);
}

}  // namespace

void add_directory_operations(fuse_lowlevel_ops& table) {
  table.lookup = do_lookup;
  table.mknod = do_mknod;
  table.mkdir = do_mkdir;
  table.symlink = do_symlink;
  table.link = do_link;
  table.unlink = do_unlink;
  table.rmdir = do_rmdir;
  table.rename = do_rename;
  table.opendir = do_opendir;
  table.releasedir = do_releasedir;
  table.fsyncdir = do_fsyncdir;
  table.readdir = do_readdir;
  table.readdirplus = do_readdirplus;
}

}  // namespace agentfs::fuse
