// SPDX-License-Identifier: MIT
// What an inode number of the mount stands for, and what an open descriptor stands for. Type and
// permission checks are made once, by the defaults here and by the callers named; a node states
// only what it is.
#pragma once

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/tree_store.h"
#include "base/completion.h"
#include "kernel/caller.h"

namespace agentfs::vfs {

class Node;
using NodeRef = std::shared_ptr<Node>;
class Handle;

// What of the mount the session of the host's kernel serves that a request came by. Beside one of
// the data trees, in which nothing may wait, the other has all that is generated: in the trees
// links lead to it (vfs/history_node.h), and their places are empty directories there (Kind::data).
enum class Part { whole, generated, trees };

// One operation of the host's kernel, or of an agent, while it is held. Not shared between threads;
// who is asking is resolved at the first use, since most operations never need it.
class Request {
 public:
  virtual ~Request() = default;
  virtual const HostCaller& host() const = 0;
  // The process behind it, for reads: its id is 0 where a person has none yet.
  virtual const Caller& caller() const = 0;
  // For changes: makes a person's init process where there is none.
  virtual Result<Caller> writer() const = 0;
  virtual TreeCaller tree() const = 0;
  virtual bool may_block() const = 0;  // false: O_NONBLOCK was given at open
  virtual Part part() const { return Part::whole; }
  // Who asks has no CAP_FSETID, and clearing set-user-id and set-group-id of what is written is
  // left to us; false where the host's kernel does it.
  virtual bool drops_set_id() const { return false; }
  // What is written belongs at the end of the file; and it was put elsewhere than was asked for, so
  // that what the host's kernel has cached of the file is not so.
  virtual bool appends() const { return false; }
  virtual void put_elsewhere() {}
  virtual bool is_interrupted() const { return false; }   // who asked no longer waits
  virtual bool is_written_back() const { return false; }  // of a mapping: no file grows by it
};

// How long the host's kernel may believe an answer, in seconds; 0: ask each time.
struct Validity {
  double entry = 0;
  double attributes = 0;
};

struct Found {
  NodeRef node;
  struct stat attributes{};
  Validity validity;
};

struct Attributes {
  struct stat attributes{};
  double validity = 0;
};

// How the host's kernel is to treat an open descriptor.
struct OpenFlags {
  bool direct_io = false;
  bool keep_cache = false;
  bool no_flush = false;
  bool cache_directory = false;
  bool parallel_writes = false;
};

struct Opened {
  std::shared_ptr<Handle> handle;
  OpenFlags flags;
};

struct CreatedNode {
  Found found;
  Opened opened;
};

struct DirectoryItem {
  std::string name;
  std::uint64_t inode = 0;
  mode_t type = 0;
  off_t next_offset = 0;
};
using EmitItem = std::function<bool(const DirectoryItem&)>;  // false: the buffer is full

// Threads: all. Methods not overridden fail as the contract says for a file of its type: EPERM or
// EROFS for changes of the synthetic tree, ENOTDIR and EISDIR for the wrong type, ENOTSUP for what
// the kind does not have; never ENOSYS.
class Node : public std::enable_shared_from_this<Node> {
 public:
  virtual ~Node() = default;
  virtual mode_t type() const = 0;       // S_IFREG, S_IFDIR, S_IFLNK, …
  virtual std::string path() const = 0;  // of the mount, for messages and the journal
  virtual bool takes_descriptor() const { return false; }  // of the daemon, where it is open
  virtual Result<Attributes> attributes(Request&) = 0;
  virtual std::optional<timespec> birth() { return std::nullopt; }  // when it was made
  virtual Result<Attributes> set_attributes(Request&, Handle* open, const SetAttributes& wanted);
  virtual Result<std::string> read_link(Request&);
  virtual Result<Opened> open(Request&, int flags);

  // Directories.
  // Whether looking up what it lists is cheap: then listings carry attributes (readdirplus).
  virtual bool lists_attributes() const { return false; }
  // The node of an entry that the host's kernel has been told all of, and has not done anything
  // with since that would make it ask again; null: it is to be looked up.
  virtual NodeRef told_entry(const std::string&) { return nullptr; }
  virtual Result<Found> lookup(Request&, const std::string& name);
  // How long the host's kernel may believe that a name which lookup() did not find is not there, in
  // seconds. Who makes it other than by the mount has to have it forgotten (Invalidator::entry).
  virtual double absence_validity(const std::string&) const { return 0; }
  virtual Result<Opened> open_directory(Request&);
  virtual Result<CreatedNode> create(Request&, const std::string& name, int flags, mode_t mode);
  // O_TMPFILE: what link() can give a name. EOPNOTSUPP where nothing is kept.
  virtual Result<CreatedNode> create_nameless(Request&, int flags, mode_t mode);
  virtual Result<Found> make_node(Request&, const std::string& name, mode_t mode, dev_t device);
  virtual Result<Found> make_directory(Request&, const std::string& name, mode_t mode);
  virtual Result<Found> make_link(Request&, const std::string& name, const std::string& target);
  virtual Result<Found> link(Request&, Node& existing, const std::string& name);
  virtual Status unlink(Request&, const std::string& name);
  virtual Status remove_directory(Request&, const std::string& name);
  virtual Status rename(Request&, const std::string& name, Node& new_parent,
                        const std::string& new_name, unsigned flags);
  // The same for one that may have to wait: a text renamed onto a reply file is a request. The
  // channel calls this one; the parents live until `done` is answered. cancel() ends it with EINTR.
  virtual void start_rename(Request&, const std::string& name, Node& new_parent,
                            const std::string& new_name, unsigned flags, Completion<Nothing> done);

  virtual Result<struct statvfs> statistics(Request&);
  virtual Status access(Request&, int mask);
  virtual Status set_xattr(Request&, const std::string& name, std::string_view value, int flags);
  virtual Result<std::string> get_xattr(Request&, const std::string& name);  // ENODATA
  virtual Result<std::string> list_xattr(Request&);
  virtual Status remove_xattr(Request&, const std::string& name);
};

// What a read gives: bytes, or a place in a host file that the channel takes them from.
struct Bytes {
  std::string text;
  int descriptor = -1;  // ≥ 0: `count` bytes from `offset` of it; the handle outlives the reply
  off_t offset = 0;
  std::size_t count = 0;
};

// One open descriptor of the host, or of an agent. Threads: all; one handle's operations may come
// at once.
class Handle {
 public:
  virtual ~Handle() = default;
  virtual void read(Request&, off_t offset, std::size_t count, Completion<Bytes> done);
  // The count that `done` gets is the whole size of `bytes`, always.
  virtual void write(Request&, off_t offset, std::string_view bytes, Completion<std::size_t> done);
  // A file of the disk that the host's kernel can read and write by itself: its descriptor, or -1
  // where all bytes come through here. bypass() says that it will, before the open is answered:
  // where it may, or does already for another open of the file, and enter_past() let it. That does
  // not where the file is being replaced, or its tree copied.
  virtual int backing() const { return -1; }
  virtual bool may_bypass() const { return true; }
  virtual bool enter_past() { return true; }
  virtual void leave_past() {}  // it does not after all
  virtual void bypass(int /*flags*/) {}
  virtual bool bypassed() const { return false; }
  // Whether what there is has to be kept when the first byte of it is overwritten, and that is
  // better left to who sees the writes. bypass() keeps it beforehand, perhaps for nothing.
  virtual bool would_lose(int /*flags*/) const { return false; }
  // write(2) of bytes still in the channel's buffer, when descriptor() allows it: a fast path.
  virtual int descriptor() const { return -1; }
  virtual void wrote(Request&, off_t offset, std::size_t count);  // after such a write
  virtual Status flush(Request&);  // close(2) of one descriptor of perhaps several
  // The same for one that may have to wait: the channel calls this one. An unterminated request on
  // a reply file runs then. cancel() ends it with EINTR.
  virtual void start_flush(Request&, Completion<Nothing> done);
  virtual void release();                // the last one is gone; cannot report
  virtual void abandon() { release(); }  // the session ends before that
  virtual Status fsync(Request&, bool data_only);
  virtual Status allocate(Request&, int mode, off_t offset, off_t length);
  virtual Result<off_t> seek(Request&, off_t offset, int whence);
  virtual Result<std::size_t> copy_range(Request&, off_t from, Handle& target, off_t to,
                                         std::size_t count);
  virtual Status read_directory(Request&, off_t offset, const EmitItem& each);
  // poll(2): the events that hold now; `ready` is called once, when that may have changed.
  virtual Result<unsigned> poll(Request&, std::move_only_function<void()> ready);
};

}  // namespace agentfs::vfs
