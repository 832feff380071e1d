// SPDX-License-Identifier: MIT
// Directories of rows and of objects.
#pragma once

#include <optional>
#include <string>

#include "fs/vfs/recent_attributes.h"
#include "fs/vfs/row_file.h"
#include "fs/vfs/scratch_home.h"

namespace agentfs::vfs {

// One object a path. Threads: all. A collection row whose name is a placeholder ("<pid>") puts its
// objects beside the other rows; one with a plain name is a directory of the objects alone.
class SyntheticDirectory final : public ScratchHome {
 public:
  SyntheticDirectory(ContextRef context, const DirectoryType& type, Key key, std::string path,
                     mode_t mode)
      : ScratchHome(std::move(context), std::move(path)),
        type_(type),
        key_(std::move(key)),
        mode_(mode) {}
  // The directory of a plainly named collection: `row` of `type`.
  SyntheticDirectory(ContextRef context, const DirectoryType& type, Key key, std::string path,
                     std::size_t row);

  Result<Attributes> attributes(Request& request) override;
  Result<struct statvfs> statistics(Request& request) override;
  void receive(Request& request, const std::string& name, std::string text,
               Completion<Nothing> done) override;
  bool takes_texts() const override;

 protected:
  Result<Found> find_entry(Request& request, const std::string& name) override;
  Result<std::vector<DirectoryItem>> entries(Request& request) override;

 private:
  std::optional<std::size_t> find_row(std::string_view name) const;
  std::optional<std::size_t> collection() const;
  // The row and tag of "NAME@TAG".
  std::optional<std::pair<std::size_t, std::string>> find_tagged(std::string_view name) const;
  RowPlace place(std::size_t row, std::string_view name, std::string tag = {}) const;
  Result<Found> find_file(Request& request, RowPlace place) const;
  Result<Found> find_node(Request& request, const RowPlace& place, const ObjectRef& object) const;
  Result<Found> find_child(Request& request, const std::string& name) const;
  Result<Found> found(Request& request, const NodeRef& node, double validity) const;
  std::string readme() const;
  bool is_shown(const RowInfo& row) const;  // in listings
  // What a row with a placeholder has, unless it is unlisted.
  Result<std::vector<std::string>> listed_names(const ObjectRef& object, Request& request) const;
  bool has_rows() const { return !only_; }
  // Whether it has the histories of trees by these' names alone, which links lead to: "README" is
  // the tree of that name there, and the text about the directory where there is none.
  bool lists_trees() const;
  Result<Attributes> find_attributes(Request& request) const;

  const DirectoryType& type_;
  const Key key_;
  const mode_t mode_;
  const std::optional<std::size_t> only_;  // of a plainly named collection
  RecentAttributes recent_;
};

NodeRef ensure_directory(const ContextRef& context, const DirectoryType& type, const Key& key,
                         const std::string& path, mode_t mode);

}  // namespace agentfs::vfs
