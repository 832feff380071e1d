// SPDX-License-Identifier: MIT
// The root, and /etc.
#include <sys/stat.h>
#include <unistd.h>

#include "fs/tree/tables.h"
#include "fs/tree/tree.h"
#include "fs/vfs/file_system.h"
#include "kernel/configuration.h"
#include "kernel/document.h"
#include "kernel/syscalls/fs.h"
#include "kernel/syscalls/table.h"

namespace agentfs::tree {
namespace {

using vfs::DocumentEntry;
using vfs::files;

const Configuration& configuration_of(const void* object) {
  return static_cast<const Kernel*>(object)->configuration();
}

Result<std::vector<DocumentEntry>> list_documents(const void* object, const Caller&,
                                                  const std::string& path) {
  std::vector<DocumentEntry> entries;
  for (std::string& name : configuration_of(object).list(path)) {
    const bool is_directory = name.ends_with('/');
    if (is_directory) name.pop_back();
    entries.push_back({std::move(name), is_directory});
  }
  return entries;
}

Result<vfs::ContentRef> open_document(const void* object, const Caller&, const std::string& path) {
  Document document = TRY(configuration_of(object).document(path));
  return vfs::text_content(std::move(document.text), document.changed);
}

Status check_name_of_document(const std::string& path) { return check_document_name(path); }

Status check_document(const void* object, const Caller&, const std::string& path,
                      std::string_view words) {
  return configuration_of(object).check(path, words);
}

Status save_document(const void*, const Caller& caller, const std::string& path,
                     std::string_view words) {
  return caller.call(sys::SaveDocument{path, std::string(words)});
}

Status remove_document(const void*, const Caller& caller, const std::string& path) {
  return caller.call(sys::RemoveDocument{path});
}

Status make_document_directory(const void* object, const Caller&, const std::string& path) {
  TRY(check_directory_name(path));
  const std::string host = configuration_of(object).directory() + "/" + path;
  if (::mkdir(host.c_str(), 0755) != 0) return fail_errno("/etc/" + path);
  return ok();
}

// Those at the top are what a document is found by, and are made at every start.
Status remove_document_directory(const void* object, const Caller&, const std::string& path) {
  if (!path.contains('/')) {
    return fail(EBUSY, "/etc/{}: always stands; the documents in it can be removed", path);
  }
  const std::string host = configuration_of(object).directory() + "/" + path;
  if (::rmdir(host.c_str()) != 0) return fail_errno("/etc/" + path);
  return ok();
}

// The settings that a kind of document may have, from the rows that check it.
std::string about_settings(std::string_view kind) {
  std::string out;
  for (const SettingRow& row : setting_rows()) {
    if (row.document != kind) continue;
    out += fmt::format("{} ({}{})\n    {}\n", row.key, row.type,
                       row.standard.empty() ? "" : fmt::format(", {} if left out", row.standard),
                       row.doc);
  }
  if (out.empty()) return out;
  const std::string_view document = kind == "profiles"  ? "profiles/NAME/profile.toml"
                                    : kind == "models"  ? "models/NAME.toml"
                                    : kind == "devices" ? "devices/local.toml"
                                    : kind == "history" ? "history.toml"
                                                        : "agentfs.toml";
  return fmt::format("Settings of {}:\n\n{}", document, out);
}

std::string about_documents(const std::string& path) {
  if (path.empty())
    return fmt::format("{}\n{}", about_settings("agentfs"), about_settings("history"));
  return about_settings(path.substr(0, path.find('/')));
}

constexpr auto kFiles = files<Kernel>({
    {.name = ".agentfs",
     .mode = 0555,
     .doc =
         "What .agentfs has in each home and workspace; with -o data_session or io_uring it is led "
         "to from there.",
     .directory = &kHistoriesDirectory,
     .listed = false},
    {.name = "dev",
     .mode = 0555,
     .doc = "Devices: what commands run on, and models.",
     .directory = &kDevDirectory},
    {.name = "etc",
     .mode = 0755,
     .doc =
         "Documents: models/, profiles/, devices/, agentfs.toml, history.toml; checked when saved.",
     .documents = &kEtc},
    {.name = "home",
     .mode = 0755,
     .doc = "Plain files of each user.",
     .directory = &kHistoryDirectory,
     .data = true},
    {.name = "proc",
     .mode = 0555,
     .doc = "Agents are processes: one directory each.",
     .directory = &kProcDirectory},
    {.name = "src",
     .mode = 0555,
     .doc = "What is shared as source: repositories.",
     .directory = &kSrcDirectory},
    {.name = "sys",
     .mode = 0555,
     .doc = "The machine: kernel, journal, syscalls.",
     .directory = &kSysDirectory},
    {.name = "tmp", .mode = 01777, .doc = "Plain files that nobody keeps.", .data = true},
    {.name = "workspaces",
     .mode = 0755,
     .doc = "Plain files that agents work on: mkdir makes a workspace, git clone fills one.",
     .directory = &kHistoryDirectory,
     .data = true},
});

const vfs::Directory<Kernel> kRootDirectory("", "An operating system for agents, as files.",
                                            find_kernel, kFiles);

json::Value describe(const SyscallEntry& entry) {
  json::Array fields;
  for (const FieldInfo& field : entry.fields) {
    fields.push_back(json::Object{{"name", field.name},
                                  {"type", field.type},
                                  {"doc", field.doc},
                                  {"required", field.required}});
  }
  return json::Object{{"name", entry.row.name},
                      {"doc", entry.row.doc},
                      {"effect", name(entry.row.effect)},
                      {"fields", std::move(fields)}};
}

}  // namespace

constinit const vfs::DocumentOperations kEtc{.list = list_documents,
                                             .content = open_document,
                                             .check_name = check_name_of_document,
                                             .check = check_document,
                                             .save = save_document,
                                             .remove = remove_document,
                                             .make_directory = make_document_directory,
                                             .remove_directory = remove_document_directory,
                                             .about = about_documents};

const vfs::DirectoryType& root() { return kRootDirectory; }

json::Value dump() {
  json::Value tree = vfs::FileSystem::dump(root());
  json::Array syscalls;
  for (const SyscallEntry& entry : all_syscalls()) syscalls.push_back(describe(entry));
  tree.set("syscalls", std::move(syscalls));
  json::Array settings;
  for (const SettingRow& row : setting_rows()) {
    settings.push_back(json::Object{{"document", row.document},
                                    {"key", row.key},
                                    {"type", row.type},
                                    {"default", row.standard},
                                    {"doc", row.doc}});
  }
  tree.set("settings", std::move(settings));
  return tree;
}

}  // namespace agentfs::tree
