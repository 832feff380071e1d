// SPDX-License-Identifier: MIT
// What vfs sees of a directory's table of rows: names, modes, documents and erased handlers. The
// typed side, which rows are written in, is fs/vfs/rows.h.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backends/tree_store.h"
#include "base/completion.h"
#include "fs/vfs/content.h"
#include "kernel/caller.h"

namespace agentfs::vfs {

enum class Kind {
  value,       // read: generated text, a snapshot at each version
  setting,     // value that can be written: one line (or whole text), checked
  control,     // verbs, one a line; reads as usage and last result, all comments
  reply,       // a request written, the answer read on the same descriptor
  message,     // text delivered when its opener closes it; reads as a value
  wait,        // unlisted; a read parks until there is an answer, then gives it
  follow,      // unlisted; a read parks until something comes; ends when the source does
  link,        // symbolic link
  directory,   // a directory of rows of the same object
  collection,  // objects, each a directory, standing directly in this directory beside its other
               // rows: row "<pid>" of /proc's table makes /proc/1, /proc/2, …
  documents,   // a directory of checked documents, may have directories below
  data,        // the root of a data tree
  trees,       // a directory of states of a data tree, each a directory of plain files to read
};
std::string_view name(Kind kind);

struct VerbInfo {
  std::string_view word{};
  std::string_view syntax{};
  std::string_view doc{};
};

class DirectoryType;

struct RowInfo {
  std::string_view name{};  // of a collection: its placeholder, "<pid>"; never a real name
  std::string_view doc{};
  mode_t mode = 0;  // permission bits
  Kind kind = Kind::value;
  bool listed = true;
  bool is_private = false;  // closed to other users than its owner, where others use the mount
  bool cached = false;      // changes only when told by invalidation; else asked each time
  bool slow = false;        // made once for all who ask at once
  std::vector<VerbInfo> verbs{};
  std::string_view usage{};              // reply files: what to write, one line
  const DirectoryType* child = nullptr;  // directory: its type; collection: the objects' type
};

// The names along the path that stand for objects: {"5", "3"} for /proc/5/calls/3.
using Key = std::vector<std::string>;
// The object that a key names, found anew for each operation.
using ObjectRef = std::shared_ptr<const void>;

// Documents below a directory: /etc, /proc/<pid>/context.d. Paths are relative, "" is the top.
struct DocumentEntry {
  std::string name;
  bool is_directory = false;
};
// What is null cannot be done: without save() the files are read-only (EACCES), without remove()
// they stay (EPERM).
struct DocumentOperations {
  Result<std::vector<DocumentEntry>> (*list)(const void* object, const Caller&,
                                             const std::string& path) = nullptr;
  Result<std::string> (*text)(const void* object, const Caller&, const std::string& path) = nullptr;
  // Instead of text(), for files that are large or know their time: segments of the journal, /etc.
  Result<ContentRef> (*content)(const void* object, const Caller&,
                                const std::string& path) = nullptr;
  // Could a document be saved under this name? EINVAL with what could; null: under any.
  Status (*check_name)(const std::string& path) = nullptr;
  Status (*check)(const void* object, const Caller&, const std::string& path,
                  std::string_view text) = nullptr;
  Status (*save)(const void* object, const Caller&, const std::string& path,
                 std::string_view text) = nullptr;
  Status (*remove)(const void* object, const Caller&, const std::string& path) = nullptr;
  Status (*make_directory)(const void* object, const Caller&, const std::string& path) = nullptr;
  Status (*remove_directory)(const void* object, const Caller&, const std::string& path) = nullptr;
  // Is there a directory of this name? Instead of list(), where that would be long.
  bool (*is_directory)(const void* object, const Caller&, const std::string& path) = nullptr;
  // Below the top are names of users' own, among which no README is put.
  bool names_are_users = false;
  // What the README of a directory tells of the documents in it, whole lines.
  std::string (*about)(const std::string& path) = nullptr;
};

// A directory of the data tree at `root` ("/workspaces") that need not have a name there.
struct TreeView {
  std::string root;
  TreeNodeRef node;
};

// What a follow file's source pushes: text as it comes; `end` once, last.
using Sink = std::function<void(std::string_view text, bool end)>;
using Unsubscribe = std::move_only_function<void()>;

// One table. Instances are constants of fs/tree. All handlers may be called from any thread; none
// blocks. `row` is an index into rows().
class DirectoryType {
 public:
  virtual ~DirectoryType() = default;
  virtual std::string_view doc() const = 0;
  // What stands for an object of this type in a path of the manual: "<pid>"; "" for plain ones.
  virtual std::string_view placeholder() const = 0;
  virtual std::span<const RowInfo> rows() const = 0;
  // ENOENT: no such object; ESRCH: it was there and is gone for good.
  virtual Result<ObjectRef> find(const Caller&, const Key&) const = 0;

  virtual Result<ContentRef> read(std::size_t row, const ObjectRef&, const Caller&) const = 0;
  virtual Status write(std::size_t row, const ObjectRef&, const Caller&,
                       std::string_view text) const = 0;  // setting, message
  virtual Result<std::string> command(std::size_t row, const ObjectRef&, const Caller&,
                                      std::string_view line) const = 0;  // control
  virtual void reply(std::size_t row, const ObjectRef&, const Caller&, std::string request,
                     Completion<std::string> done) const = 0;  // reply
  virtual void wait(std::size_t row, const ObjectRef&, const Caller&,
                    Completion<std::string> done) const = 0;  // wait
  virtual Result<Unsubscribe> follow(std::size_t row, const ObjectRef&, const Caller&,
                                     Sink sink) const = 0;  // follow
  virtual Result<std::string> link(std::size_t row, const ObjectRef&, const Caller&) const = 0;
  virtual Result<std::vector<std::string>> list(std::size_t row, const ObjectRef&,
                                                const Caller&) const = 0;  // collection, trees
  virtual Result<TreeView> view(std::size_t row, const ObjectRef&, const Caller&,
                                const std::string& name) const = 0;  // trees
  virtual const DocumentOperations* documents(std::size_t row) const = 0;
  // May messages and commands be written to this object now? ESRCH for a dead one.
  virtual Status writable(std::size_t row, const ObjectRef&, const Caller&) const = 0;
};

}  // namespace agentfs::vfs
