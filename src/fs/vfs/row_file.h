// SPDX-License-Identifier: MIT
// A row of a table as a file.
#pragma once

#include <string>

#include "backends/tree_store.h"
#include "fs/vfs/table.h"
#include "fs/vfs/version_node.h"

namespace agentfs::vfs {

// A row of one object's directory. Ids, not pointers: the object is found for each operation.
struct RowPlace {
  const DirectoryType* type = nullptr;
  Key key;
  std::size_t row = 0;
  std::string path;  // with "@TAG" where it was asked for by one
  std::string tag;

  const RowInfo& info() const { return type->rows()[row]; }
  // For a name that is looked up: ENOENT where the object is not there, or not any more.
  Result<ObjectRef> find(const Caller& caller) const;
  // For a descriptor: the object was there, so it has gone: ESRCH.
  Result<ObjectRef> held(const Caller& caller) const;
};

// The workspace or home that a file of .agentfs was opened of. What has its name when something is
// written may be another one: discarded and forked anew, renamed and made again. Empty for objects
// that are known by numbers. Threads: all.
class NamedTree {
 public:
  NamedTree(const Context& context, const RowPlace& place);
  Status check(const Context& context, const RowPlace& place) const;  // ESTALE: another is there

 private:
  const TreeNodeRef root_;
};

// An object by its key, with the errors of a lookup.
Result<ObjectRef> find_object(const DirectoryType& type, const Caller& caller, const Key& key);

// Kinds value, setting, control, reply and message.
class RowFile final : public GeneratedFile {
 public:
  RowFile(ContextRef context, RowPlace place, mode_t mode);

  const RowPlace& place() const { return place_; }
  const RowInfo* row() const override { return &place_.info(); }
  Result<ContentRef> render(Request& request) const override;
  std::string identity(const Request& request) const override;
  bool is_private() const override { return place_.info().kind == Kind::reply; }
  Status alive(Request& request) const override;
  Result<Opened> open_for_writing(Request& request, int flags,
                                  const VersionRef& node) const override;
  // Where this session's last reply, or last result, is kept.
  std::string slot(const Request& request) const;

 private:
  std::string reader_of(const Request& request) const;

  RowPlace place_;
};
using RowFileRef = std::shared_ptr<const RowFile>;

// Executes a text as if it had been written to the file by one descriptor, from open to close.
void write_whole(Request& request, const RowFileRef& file, std::string text,
                 Completion<Nothing> done);

// The texts that control and reply files read as before anything was written.
std::string usage_of(const RowInfo& row);
// Each line behind "# ".
std::string as_comments(std::string_view text);

}  // namespace agentfs::vfs
