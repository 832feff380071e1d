// SPDX-License-Identifier: MIT
// The README of each synthetic directory, made from its rows.
#pragma once

#include <string>

#include "fs/vfs/row_file.h"

namespace agentfs::vfs {

constexpr std::string_view kReadme = "README";

// A directory of rows: a line a file, and the verbs with their syntax.
std::string describe_rows(std::string_view path, const DirectoryType& type);
// A directory of objects of one row.
std::string describe_row(std::string_view path, const RowInfo& row);
// A directory of documents, `relative` to the row's own.
std::string describe_documents(std::string_view path, const RowInfo& row,
                               const DocumentOperations& documents, const std::string& relative);

// A text that never changes, as a file.
class FixedFile final : public GeneratedFile {
 public:
  FixedFile(ContextRef context, std::string path, std::string text)
      : GeneratedFile(std::move(context), std::move(path), 0444),
        text_(text_content(std::move(text))) {}
  Result<ContentRef> render(Request&) const override { return text_; }
  double entry_validity() const override { return kForever; }

 private:
  ContentRef text_;
};

}  // namespace agentfs::vfs
