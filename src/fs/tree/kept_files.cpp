// SPDX-License-Identifier: MIT
// versions/ and trash/ of `.agentfs`.
#include "base/nanoseconds.h"
#include "base/permissions.h"
#include "fs/tree/tables.h"
#include "kernel/history.h"
#include "kernel/history_keeper.h"
#include "kernel/kernel.h"

namespace agentfs::tree {
namespace {

using vfs::DocumentEntry;

const HistoryRoot& root_of(const void* object) { return *static_cast<const HistoryRoot*>(object); }

// "" is the root itself.
std::string path_in(const HistoryRoot& root, const std::string& relative) {
  return relative.empty() ? root.path : fmt::format("{}/{}", root.path, relative);
}

Result<vfs::ContentRef> content_of(const HistoryRoot& root, const Caller& caller,
                                   const FileVersionRef& version) {
  if (version->type != FileVersion::Type::file) {
    return vfs::text_content(version->target, version->modified);
  }
  const PastStore* const past = root.kernel->parts().past;
  if (past == nullptr) return fail(ENOENT, "{}: nothing is kept by this kernel", version->path);
  const PastName name = version->stored();
  const struct stat attributes = TRY(past->attributes(name));
  if (!root.kernel->history().may_read(caller, attributes)) {
    return fail(EACCES, "{}: a version of mode {:04o} of uid {}, and not this caller's to read",
                text::shown(version->path), attributes.st_mode & kPermissions, attributes.st_uid);
  }
  const auto open = [past, name]() -> Result<UniqueFd> {
    auto file = past->open(name);
    if (file || file.error().code != EBUSY) return file;
    return fail(EBUSY,
                "{}: the bytes of this version were read from the imported directory, and have "
                "changed there; `pin` in .agentfs/ctl would have copied them before",
                text::shown(name.path));
  };
  return std::make_shared<const vfs::Content>(open, static_cast<std::uint64_t>(attributes.st_size),
                                              nanoseconds_of(attributes.st_mtim), version->number);
}

// What a FIFO or a directory was is no version of a text, nor is one of several names of a file
// that has others.
bool has_text(const SeenHistory& history, const FileVersionRef& version) {
  using Type = FileVersion::Type;
  const FileVersionRef whole = history.all().whole(version);
  return whole != nullptr &&
         (whole->type == Type::file || whole->type == Type::empty || whole->type == Type::link);
}

// What was a file and a directory in turn may have had such a name in it: then with a zero more.
std::string number_name(const SeenHistory& history, const FileVersion& version) {
  std::string name = fmt::format("{:06}", version.number);
  const auto is_taken = [&] {
    const std::string path = fmt::format("{}/{}", version.path, name);
    return history.has(path) || history.has_below(path);
  };
  while (is_taken()) name.insert(0, 1, '0');
  return name;
}

void add_children(std::vector<DocumentEntry>& entries, std::vector<History::Child> children) {
  for (History::Child& child : children) entries.push_back({std::move(child.name), true});
}

// --- versions

Result<std::vector<DocumentEntry>> list_versions(const void* object, const Caller& caller,
                                                 const std::string& relative) {
  const HistoryRoot& root = root_of(object);
  std::vector<DocumentEntry> entries;
  const auto add = [&](const SeenHistory& history) {
    const std::string path = path_in(root, relative);
    add_children(entries, history.children(path));
    for (const FileVersionRef& version : history.versions(path)) {
      if (!has_text(history, version)) continue;
      entries.push_back({number_name(history, *version), false});
    }
  };
  TRY(root.kernel->history().look(caller, root.path, add));
  return entries;
}

Result<vfs::ContentRef> open_version(const void* object, const Caller& caller,
                                     const std::string& relative) {
  const HistoryRoot& root = root_of(object);
  const auto slash = relative.rfind('/');
  const auto number = text::number<std::uint64_t>(
      std::string_view(relative).substr(slash == std::string::npos ? 0 : slash + 1));
  FileVersionRef version;
  TRY(root.kernel->history().look(caller, root.path, [&](const SeenHistory& h) {
    if (!number || slash == std::string::npos) return;
    const FileVersionRef found = h.find(*number);
    const bool is_it = found != nullptr && has_text(h, found) &&
                       found->path == path_in(root, relative.substr(0, slash)) &&
                       relative.substr(slash + 1) == number_name(h, *found);
    if (is_it) version = h.all().whole(found);
  }));
  if (version == nullptr) return fail(ENOENT, "{}: no such version", text::shown(relative));
  return content_of(root, caller, version);
}

bool has_versions(const void* object, const Caller& caller, const std::string& relative) {
  const HistoryRoot& root = root_of(object);
  bool result = false;
  const auto look = [&](const SeenHistory& history) {
    const std::string path = path_in(root, relative);
    result = history.has(path) || history.has_below(path);
  };
  return root.kernel->history().look(caller, root.path, look) && result;
}

// --- trash

bool is_trash_directory(const void* object, const Caller& caller, const std::string& relative) {
  const HistoryRoot& root = root_of(object);
  bool result = false;
  const auto look = [&](const SeenHistory& history) {
    const std::string path = path_in(root, relative);
    const FileVersionRef own = history.trashed(path);
    result = history.has_trash_below(path) ||
             (own != nullptr && own->type == FileVersion::Type::directory);
  };
  return root.kernel->history().look(caller, root.path, look) && result;
}

// A removed file where a directory was removed, too, that had something in it: that has the path,
// and the file is in it, by its number.
FileVersionRef beside_directory(const SeenHistory& history, const std::string& path) {
  const FileVersionRef own = history.trashed(path);
  const bool is_file = own != nullptr && own->type != FileVersion::Type::directory;
  const bool is_beside = is_file && history.has_trash_below(path);
  return is_beside && history.all().whole(own) != nullptr ? own : nullptr;
}

Result<std::vector<DocumentEntry>> list_trash(const void* object, const Caller& caller,
                                              const std::string& relative) {
  const HistoryRoot& root = root_of(object);
  std::vector<DocumentEntry> entries;
  const std::string path = path_in(root, relative);
  std::string beside;
  TRY(root.kernel->history().look(caller, root.path, [&](const SeenHistory& history) {
    for (History::Child& child : history.trash_children(path)) {
      const FileVersionRef own = history.trashed(fmt::format("{}/{}", path, child.name));
      const bool is_directory =
          child.has_children || (own != nullptr && own->type == FileVersion::Type::directory);
      if (!is_directory && history.all().whole(own) == nullptr) continue;
      entries.push_back({std::move(child.name), is_directory});
    }
    const FileVersionRef file = beside_directory(history, path);
    if (file != nullptr) beside = number_name(history, *file);
  }));
  // A rollback, or a rename of a directory, may have brought something there, and all of a
  // directory.
  std::erase_if(entries, [&](const DocumentEntry& entry) {
    if (!root.kernel->paths().attributes(caller, fmt::format("{}/{}", path, entry.name)))
      return false;
    if (!entry.is_directory) return true;
    const std::string_view above = relative.empty() ? "" : "/";
    const auto below =
        list_trash(object, caller, fmt::format("{}{}{}", relative, above, entry.name));
    return below && below->empty();
  });
  const bool is_away = !beside.empty() && !root.kernel->paths().attributes(caller, path);
  if (is_away) entries.push_back({std::move(beside), false});
  return entries;
}

Result<vfs::ContentRef> open_trash(const void* object, const Caller& caller,
                                   const std::string& relative) {
  const HistoryRoot& root = root_of(object);
  FileVersionRef version;
  const bool is_directory = is_trash_directory(object, caller, relative);
  TRY(root.kernel->history().look(caller, root.path, [&](const SeenHistory& h) {
    const std::string path = path_in(root, relative);
    if (!is_directory) version = h.all().whole(h.trashed(path));
    if (is_directory || version != nullptr || relative.empty()) return;
    const auto beside = beside_directory(h, std::string(text::parent_part(path)));
    const bool is_it = beside != nullptr && number_name(h, *beside) == text::last_part(path);
    if (is_it) version = h.all().whole(beside);
  }));
  if (version == nullptr) return fail(ENOENT, "{}: not in the trash", text::shown(relative));
  return content_of(root, caller, version);
}

}  // namespace

constinit const vfs::DocumentOperations kVersions{.list = list_versions,
                                                  .content = open_version,
                                                  .is_directory = has_versions,
                                                  .names_are_users = true};

constinit const vfs::DocumentOperations kTrash{.list = list_trash,
                                               .content = open_trash,
                                               .is_directory = is_trash_directory,
                                               .names_are_users = true};

}  // namespace agentfs::tree
