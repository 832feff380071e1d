// SPDX-License-Identifier: MIT
// What all synthetic directories have in common: temporary names beside what the table gives, and
// texts that arrive by rename.
#pragma once

#include <string>
#include <vector>

#include "fs/vfs/scratch_node.h"

namespace agentfs::vfs {

// Is it the name of an editor's or a tool's backup, lock or temporary file?
bool is_scratch_name(std::string_view name);

// A directory of rows, objects or documents. Threads: all.
class ScratchHome : public Node {
 public:
  ScratchHome(ContextRef context, std::string path)
      : context_(std::move(context)), path_(std::move(path)) {}
  ~ScratchHome() override { context_->interned.forget(path_); }

  mode_t type() const final { return S_IFDIR; }
  std::string path() const final { return path_; }
  Result<Opened> open_directory(Request& request) final;
  Result<Found> lookup(Request& request, const std::string& name) final;
  Result<CreatedNode> create(Request& request, const std::string& name, int flags,
                             mode_t mode) final;
  Result<Found> make_node(Request&, const std::string& name, mode_t mode, dev_t device) final;
  Result<Found> make_directory(Request&, const std::string& name, mode_t mode) final;
  Result<Found> make_link(Request& request, const std::string& name,
                          const std::string& target) final;
  Result<Found> link(Request&, Node& existing, const std::string& name) final;
  Status unlink(Request& request, const std::string& name) final;
  Status remove_directory(Request& request, const std::string& name) final;
  Status rename(Request& request, const std::string& name, Node& new_parent,
                const std::string& new_name, unsigned flags) final;
  void start_rename(Request& request, const std::string& name, Node& new_parent,
                    const std::string& new_name, unsigned flags, Completion<Nothing> done) final;
  // Whether there is a file here that can be written to, so that editors need names beside it.
  // Elsewhere a new name would be lost with what was moved there.
  virtual bool takes_texts() const { return false; }
  // A whole text written to `name` as if by one descriptor.
  virtual void receive(Request& request, const std::string& name, std::string text,
                       Completion<Nothing> done) = 0;

 protected:
  // What the table gives: ENOENT where there is nothing of that name.
  virtual Result<Found> find_entry(Request& request, const std::string& name) = 0;
  virtual Result<std::vector<DirectoryItem>> entries(Request& request) = 0;
  // Is a new name an entry here, or a temporary one? An entry's text is received at close. EINVAL
  // for a name that is neither.
  virtual Result<bool> is_new_entry(const std::string&) const { return false; }
  virtual Result<CreatedNode> create_entry(Request&, const std::string& name, int flags);
  virtual Result<Found> make_entry_directory(Request&, const std::string& name);
  virtual Status remove_entry(Request&, const std::string& name);
  virtual Status remove_entry_directory(Request&, const std::string& name);
  // An entry of this directory gets another name.
  virtual Status move_entry(Request&, const std::string& name, ScratchHome& target,
                            const std::string& new_name);

  Context& context() const { return *context_; }
  const ContextRef& context_ref() const { return context_; }
  Error refused(std::string_view what, const std::string& name) const;

 private:
  ScratchTable::Place place_of(const Request& request, const std::string& name) const;
  ScratchRef find_scratch(const Request& request, const std::string& name) const;
  Result<Found> found(Request& request, const NodeRef& node) const;
  Result<CreatedNode> create_scratch(Request& request, const std::string& name, int flags,
                                     mode_t mode);
  Status rename_scratch(Request& request, const ScratchRef& node, ScratchHome& target,
                        const std::string& new_name);
  void receive_scratch(Request& request, const ScratchRef& node, ScratchHome& target,
                       const std::string& new_name, const Completion<Nothing>& done);
  Status rename_entry(Request& request, const std::string& name, ScratchHome& target,
                      const std::string& new_name);
  Error note(const Request& request, const std::string& name, Error error) const;

  const ContextRef context_;
  const std::string path_;
};

}  // namespace agentfs::vfs
