// SPDX-License-Identifier: MIT
// Documents: whole texts that are checked when they are saved.
#pragma once

#include <optional>
#include <string>

#include "fs/vfs/recent_attributes.h"
#include "fs/vfs/row_file.h"
#include "fs/vfs/scratch_home.h"

namespace agentfs::vfs {

// A document, or a directory of them: a row of kind documents and a path below it.
struct DocumentPlace {
  RowPlace row;
  std::string relative;  // "" is the top

  const DocumentOperations& operations() const { return *row.type->documents(row.row); }
  bool is_read_only() const { return operations().save == nullptr; }
  std::string path() const;
  DocumentPlace child(const std::string& name) const;
};

// Checks and saves: EBADMSG for a text that is not valid. The change is in the journal then.
Status save_document(Context& context, const DocumentPlace& place, Caller author,
                     std::string_view text);

class DocumentFile final : public GeneratedFile {
 public:
  DocumentFile(ContextRef context, DocumentPlace place);
  const DocumentPlace& place() const { return place_; }
  Result<ContentRef> render(Request& request) const override;
  // As it is now; nothing where there is none.
  Result<std::optional<std::string>> current_text(const Caller& caller) const;
  Result<ContentRef> newest(Request& request, const ContentRef& held) const override;
  Status alive(Request& request) const override;
  Result<Opened> open_for_writing(Request& request, int flags,
                                  const VersionRef& node) const override;
  Status resize(Request& request, VersionNode& node, Handle* open, off_t size) const override;

 private:
  Result<ContentRef> current(const Caller& caller) const;
  Status cut(Request& request, std::size_t size) const;

  DocumentPlace place_;
};
using DocumentFileRef = std::shared_ptr<const DocumentFile>;

// One object a path. Threads: all.
class DocumentDirectory final : public ScratchHome {
 public:
  DocumentDirectory(ContextRef context, DocumentPlace place)
      : ScratchHome(std::move(context), place.path()), place_(std::move(place)) {}
  Result<Attributes> attributes(Request& request) override;
  void receive(Request& request, const std::string& name, std::string text,
               Completion<Nothing> done) override;
  bool takes_texts() const override { return !place_.is_read_only(); }

 protected:
  Result<Found> find_entry(Request& request, const std::string& name) override;
  Result<std::vector<DirectoryItem>> entries(Request& request) override;
  Result<bool> is_new_entry(const std::string& name) const override;
  Result<CreatedNode> create_entry(Request& request, const std::string& name, int flags) override;
  Result<Found> make_entry_directory(Request& request, const std::string& name) override;
  Status remove_entry(Request& request, const std::string& name) override;
  Status remove_entry_directory(Request& request, const std::string& name) override;
  Status move_entry(Request& request, const std::string& name, ScratchHome& target,
                    const std::string& new_name) override;

 private:
  Result<std::vector<DocumentEntry>> list(Request& request) const;
  Result<std::optional<bool>> find_directory(Request& request, const std::string& name) const;
  bool has_readme() const;
  std::int64_t changed(const std::vector<DocumentEntry>& entries) const;
  Status check_name(const std::string& name) const;
  bool looks_temporary(const std::string& name) const;

  Result<Attributes> find_attributes(Request& request) const;

  const DocumentPlace place_;
  RecentAttributes recent_;
};

NodeRef find_documents(const ContextRef& context, const RowPlace& row, const std::string& relative);

}  // namespace agentfs::vfs
