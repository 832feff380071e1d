// SPDX-License-Identifier: MIT
#include "fs/vfs/readme.h"

namespace agentfs::vfs {
namespace {

bool is_directory(Kind kind) {
  return kind == Kind::directory || kind == Kind::collection || kind == Kind::documents ||
         kind == Kind::data || kind == Kind::trees;
}

std::string shown_name(const RowInfo& row) {
  return std::string(row.name) + (is_directory(row.kind) ? "/" : "");
}

// What its reader can do with a file, beyond its own sentence.
void append_use(std::string& out, const RowInfo& row, std::size_t width) {
  const auto more = [&](std::string_view words) {
    out += fmt::format("{:<{}}  {}\n", "", width, words);
  };
  if (!row.listed) more("Not listed.");
  if (row.kind == Kind::setting) more("Write a line to change it.");
  if (row.kind == Kind::message) more("Write text: what one open writes is one message.");
  if (row.kind == Kind::reply) {
    more(fmt::format("Write: {}", row.usage));
    more(fmt::format("Read the reply on the same descriptor; {}@TAG keeps one of its own.",
                     row.name));
  }
  for (const VerbInfo& verb : row.verbs) more(fmt::format("{}: {}", verb.syntax, verb.doc));
}

}  // namespace

std::string describe_rows(std::string_view path, const DirectoryType& type) {
  std::string out = fmt::format("{}: {}\n\n", path, type.doc());
  std::size_t width = kReadme.size();
  for (const RowInfo& row : type.rows()) width = std::max(width, shown_name(row).size());
  out += fmt::format("{:<{}}  {}\n", kReadme, width, "This text.");
  for (const RowInfo& row : type.rows()) {
    out += fmt::format("{:<{}}  {}\n", shown_name(row), width, row.doc);
    append_use(out, row, width);
  }
  return out;
}

std::string describe_row(std::string_view path, const RowInfo& row) {
  std::string out = fmt::format("{}: {}\n", path, row.doc);
  if (row.child != nullptr) {
    out += fmt::format("\n{}/  {}\n", row.child->placeholder(), row.child->doc());
  }
  return out;
}

std::string describe_documents(std::string_view path, const RowInfo& row,
                               const DocumentOperations& documents, const std::string& relative) {
  std::string out = fmt::format("{}: {}\n", path, row.doc);
  if (documents.save != nullptr) {
    out +=
        "\nDocuments are checked when they are saved: one that is not valid is refused, and the\n"
        "one before stays in force; /proc/self/errors says why.\n";
  }
  const std::string about = documents.about != nullptr ? documents.about(relative) : std::string();
  return about.empty() ? out : out + "\n" + about;
}

}  // namespace agentfs::vfs
