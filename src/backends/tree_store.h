// SPDX-License-Identifier: MIT
// The data trees: plain directories with every POSIX operation, addressed by node.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backends/writing.h"
#include "base/error.h"
#include "base/file.h"

namespace agentfs {

// A file, directory, link or special file of a tree: what an inode number of the mount stands for.
// Shared by all who use it; equal files are one object as long as anybody holds it.
class TreeNode {
 public:
  virtual ~TreeNode() = default;
  virtual std::uint64_t device() const = 0;
  virtual std::uint64_t inode() const = 0;
  virtual mode_t type() const = 0;  // S_IFREG, S_IFDIR, …
  // To be told by who makes links of the file past its store, and takes them away: what is removed
  // next may have no other name.
  mutable std::atomic<int> links_aside = 0;
};
using TreeNodeRef = std::shared_ptr<TreeNode>;

struct TreeEntry {
  TreeNodeRef node;
  struct stat attributes{};
};

// Whose rights an operation uses: a root daemon acts with the caller's ids, another as itself.
struct TreeCaller {
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;  // for the supplementary groups; 0: `groups` alone
  mode_t umask = 0;
  std::vector<gid_t> groups{};  // of one who is no process of the host
};

struct SetAttributes {
  enum Which : unsigned { mode = 1, uid = 2, gid = 4, size = 8, atime = 16, mtime = 32 };
  unsigned which = 0;
  struct stat values{};  // st_atim and st_mtim may be UTIME_NOW
};

// An open file or directory; closing is destruction.
class TreeFile {
 public:
  virtual ~TreeFile() = default;
  virtual int descriptor() const = 0;
  // Whether the bytes are another's, who may change them meanwhile (backends/lender.h). What was
  // read of such a file counts once check_read() has said so; EBUSY, with a sentence, where it may
  // be a mixture.
  virtual bool is_lent() const { return false; }
  virtual Status check_read() const { return ok(); }
};

// Directories that somebody holds of a state that is over.
struct Followers {
  static constexpr std::size_t kMostPaths = 8;
  std::vector<TreeNodeRef> directories{};
  std::vector<std::string> paths{};  // below its root, of the first that have no other in them
  std::size_t names = 0;             // known in all of them, of files too
};

// Threads: all. Errors are the disk's own errno; names are single components as the kernel sends
// them. Everything stays below the root that was opened: links are never followed out of it.
class TreeStore {
 public:
  virtual ~TreeStore() = default;
  virtual TreeNodeRef root() = 0;
  // As many nodes as may be known at a time, where each takes a descriptor; 0: any number.
  virtual std::size_t most_nodes() const { return 0; }
  virtual std::string host_path(const TreeNode& node) const = 0;  // for messages and bind mounts
  // Calls `use` with an O_PATH descriptor of the node, open as long as the call lasts.
  virtual Status use_descriptor(const TreeNode& node, const std::function<Status(int)>& use) = 0;
  // file::identity() of the file that it is now; 0 where it cannot be had.
  virtual std::uint64_t identity(const TreeNode& node) = 0;

  virtual Result<TreeEntry> lookup(const TreeNode& parent, const std::string& name) = 0;
  // The node that the name was last found to lead to, as long as anybody holds it, without asking
  // the disk: it may lead elsewhere by now. Null where that is not remembered.
  virtual TreeNodeRef remembered(const TreeNode&, const std::string&) { return nullptr; }
  // From now on directories that somebody holds while their tree is rolled back become those in
  // their place then, when they are next used; those that are to, below a root.
  virtual void follow_rollbacks() {}
  virtual Followers followers(const TreeNode& /*root*/) { return {}; }
  // Whether it is of a state that is over: it has the path still that it had there.
  virtual bool is_over(const TreeNode&) const { return false; }
  virtual Result<struct stat> attributes(const TreeNode& node) = 0;
  // When it was made. ENOTSUP: the disk does not tell.
  virtual Result<timespec> birth(const TreeNode&) { return fail_errno(ENOTSUP, "birth"); }
  // `open` may be null: the handle the caller held, if any.
  virtual Result<struct stat> set_attributes(const TreeNode& node, const TreeFile* open,
                                             const SetAttributes& wanted, const TreeCaller&) = 0;
  virtual Result<std::string> read_link(const TreeNode& node) = 0;
  virtual Result<TreeEntry> make_node(const TreeNode& parent, const std::string& name, mode_t mode,
                                      dev_t device, const TreeCaller&) = 0;
  virtual Result<TreeEntry> make_directory(const TreeNode& parent, const std::string& name,
                                           mode_t mode, const TreeCaller&) = 0;
  virtual Result<TreeEntry> make_link(const TreeNode& parent, const std::string& name,
                                      const std::string& target, const TreeCaller&) = 0;
  virtual Result<TreeEntry> link(const TreeNode& node, const TreeNode& parent,
                                 const std::string& name, const TreeCaller&) = 0;
  virtual Status unlink(const TreeNode& parent, const std::string& name, const TreeCaller&) = 0;
  virtual Status remove_directory(const TreeNode& parent, const std::string& name,
                                  const TreeCaller&) = 0;
  // flags: RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT (a device 0:0 of the caller's has the
  // old name at once, as an overlay wants it); others are EINVAL.
  virtual Status rename(const TreeNode& from, const std::string& name, const TreeNode& to,
                        const std::string& new_name, unsigned flags, const TreeCaller&) = 0;

  // Moves a file, or a directory with all in it, from a directory of the host into the store, where
  // nothing has the name yet (EEXIST). It must be of the same disk (EXDEV), nobody else's, and be
  // left alone meanwhile. ENOTSUP: a store that cannot.
  virtual Result<TreeEntry> adopt(int /*directory*/, const std::string& /*name*/,
                                  const TreeNode& /*parent*/, const std::string& new_name) {
    return fail(ENOTSUP, "{}: this store takes nothing from outside; a copy would do", new_name);
  }
  // The other way round: what is known of it as the store's own is forgotten. Not of a file that
  // has other names in the store.
  virtual Status expel(const TreeNode& /*parent*/, const std::string& name, int /*directory*/,
                       const std::string& /*new_name*/, const TreeCaller&) {
    return fail(ENOTSUP, "{}: this store gives nothing away; a copy would do", name);
  }

  struct Created {
    TreeEntry entry;
    std::unique_ptr<TreeFile> file;
  };
  virtual Result<Created> create(const TreeNode& parent, const std::string& name, int flags,
                                 mode_t mode, const TreeCaller&) = 0;
  // A file without a name (O_TMPFILE), which link() gives one; gone with its last descriptor.
  virtual Result<Created> create_nameless(const TreeNode& directory, int flags, mode_t mode,
                                          const TreeCaller&) = 0;
  virtual Result<std::unique_ptr<TreeFile>> open(const TreeNode& node, int flags,
                                                 const TreeCaller&) = 0;
  virtual Result<std::unique_ptr<TreeFile>> open_directory(const TreeNode& node) = 0;
  // Whether two files have the same bytes, where that is known without these being read, or cannot
  // be by that; of directories, whether one reads what is in the other, unchanged since it does.
  virtual std::optional<bool> has_same_bytes(const TreeNode&, const TreeNode&) { return {}; }
  // Whether the host's kernel may read and write the file on its own: not where trees share files.
  virtual bool may_bypass(const TreeNode&) const { return true; }
  // To be asked before each change through a descriptor (pwrite, fallocate, ftruncate, a copy into
  // it), and held until it is done. A file that is shared with another tree gets an inode of its
  // own first; the descriptor keeps its number. ESTALE: the tree was rolled back or dropped.
  virtual Result<Writing> begin_write(const TreeFile&) { return Writing(); }
  // Makes one system call (not negative, or -1 with errno) on this thread with the rights of the
  // caller alone, for what the disk's kernel judges by who changes bytes; its errno, or 0.
  virtual int as(const TreeCaller& caller, const std::function<long()>& call) = 0;
  // Entries from `offset` on (0 at first, then the last one's next_offset) until `each` says
  // false. "." and ".." are included.
  struct DirectoryEntry {
    std::string name;
    std::uint64_t inode = 0;
    mode_t type = 0;
    off_t next_offset = 0;
  };
  virtual Status read_directory(const TreeFile& directory, off_t offset,
                                const std::function<bool(const DirectoryEntry&)>& each) = 0;
  virtual Status fsync(const TreeFile& file, bool data_only) = 0;
  virtual Result<struct statvfs> statistics(const TreeNode& node) = 0;
  virtual Status access(const TreeNode& node, int mask, const TreeCaller&) = 0;

  // Extended attributes, as the *xattr(2) family: size 0 asks for the length.
  virtual Status set_xattr(const TreeNode& node, const std::string& name, std::string_view value,
                           int flags, const TreeCaller&) = 0;
  virtual Result<std::string> get_xattr(const TreeNode& node, const std::string& name) = 0;
  virtual Result<std::string> list_xattr(const TreeNode& node) = 0;  // names, each ended by NUL
  virtual Status remove_xattr(const TreeNode& node, const std::string& name, const TreeCaller&) = 0;
};

// The names in a directory, in the store's order, without "." and ".."; one that is made or renamed
// meanwhile may be missing or there twice. Errors: the disk's.
inline Result<std::vector<std::string>> names_in(TreeStore& store, const TreeNode& directory) {
  const auto opened = TRY(store.open_directory(directory));
  std::vector<std::string> names;
  TRY(store.read_directory(*opened, 0, [&](const TreeStore::DirectoryEntry& entry) {
    if (entry.name != "." && entry.name != "..") names.push_back(entry.name);
    return true;
  }));
  return names;
}

}  // namespace agentfs
