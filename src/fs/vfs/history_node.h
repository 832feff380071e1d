// SPDX-License-Identifier: MIT
// `.agentfs` in the directories of a data tree: unlisted, and there in each of them.
#pragma once

#include <memory>
#include <string>

#include "fs/vfs/context.h"
#include "fs/vfs/data_file.h"

namespace agentfs::vfs {

inline constexpr std::string_view kHistoryName = ".agentfs";
// Where the other session has what the .agentfs of a tree ("/workspaces/site") has: a row of the
// root, "/.agentfs/workspaces/site".
std::string history_place(std::string_view root);

// The names of a table, over a real directory of that name where the user has made one: what the
// table does not have is the user's, who keeps context.d there. Listed is one of both: the real
// directory alone where there is one, so that `rm -rf` and `cp -a` of a workspace see what is
// theirs.
//
// For the session of the data trees each name of the table but README is a relative link to the
// same name of
// `/.agentfs/workspaces/site`, which the other session of the mount serves: there a read may wait
// and a command take its time. Threads: all.
class HistoryNode final : public Node {
 public:
  // The `.agentfs` of `parent`; null where the tree has none, and in its top.
  static NodeRef find(const std::shared_ptr<DataNode>& parent);
  // The real one of `parent` was removed, or renamed: the next that is found is another node.
  static void replace(const DataNode& parent);
  HistoryNode(std::shared_ptr<DataNode> parent, NodeRef ours, std::string root, std::string key)
      : parent_(std::move(parent)),
        ours_(std::move(ours)),
        root_(std::move(root)),
        key_(std::move(key)) {}
  ~HistoryNode() override;

  // Where a name of the user's goes: the real directory, made where there is none. EACCES for a
  // name of the table.
  Result<NodeRef> receiving(Request& request, const std::string& name);

  mode_t type() const override { return S_IFDIR; }
  std::string path() const override { return ours_->path(); }
  Result<Attributes> attributes(Request&) override;
  Result<Attributes> set_attributes(Request&, Handle* open, const SetAttributes& wanted) override;
  Result<Found> lookup(Request&, const std::string& name) override;
  Result<Opened> open_directory(Request&) override;
  Result<CreatedNode> create(Request&, const std::string& name, int flags, mode_t mode) override;
  Result<Found> make_node(Request&, const std::string& name, mode_t mode, dev_t device) override;
  Result<Found> make_directory(Request&, const std::string& name, mode_t mode) override;
  Result<Found> make_link(Request&, const std::string& name, const std::string& target) override;
  Result<Found> link(Request&, Node& existing, const std::string& name) override;
  Status unlink(Request&, const std::string& name) override;
  Status remove_directory(Request&, const std::string& name) override;
  Status rename(Request&, const std::string& name, Node& new_parent, const std::string& new_name,
                unsigned flags) override;
  void start_rename(Request&, const std::string& name, Node& new_parent,
                    const std::string& new_name, unsigned flags, Completion<Nothing>) override;
  Result<struct statvfs> statistics(Request&) override;
  Status access(Request&, int mask) override;
  NodeRef real() const;  // the directory of that name that a user has made; null: none has

 private:
  Status check_in_place(const Request& request) const;  // ESTALE: the tree has another name by now
  bool is_ours(const std::string& name) const;
  // Whether it is what editors and tools make beside a file of the table to save it.
  bool is_saving(Request& request, const std::string& name) const;
  std::unexpected<Error> refused(const Request& request, Error error) const;
  std::unexpected<Error> generated(const Request& request, const std::string& name) const;
  // What a file of the user's in `directory` says becomes what one of the other's table says.
  Status save(Request& request, Node& directory, const std::string& name, HistoryNode& other,
              const std::string& new_name);
  const DirectoryType& rows() const { return *parent_->tree().history().type; }
  Result<Found> led_away(Request&, const std::string& name) const;
  // For a name to be taken away: ours say why not.
  NodeRef holding(Request& request, const std::string& name) const;

  const std::shared_ptr<DataNode> parent_;
  const NodeRef ours_;
  const std::string root_;  // "/workspaces/site"
  const std::string key_;   // of the context's table
};

}  // namespace agentfs::vfs
