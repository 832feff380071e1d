// SPDX-License-Identifier: MIT
#include "fs/vfs/document_node.h"

#include <fcntl.h>

#include <algorithm>

#include "base/damage.h"
#include "base/text.h"
#include "fs/vfs/document_handle.h"
#include "fs/vfs/readme.h"

namespace agentfs::vfs {

namespace {

bool is_file_name_character(char c) {
  constexpr std::string_view kOthers = "._-+~#%@=,";
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         kOthers.contains(c);
}

}  // namespace

std::string DocumentPlace::path() const {
  return relative.empty() ? row.path : child_path(row.path, relative);
}

DocumentPlace DocumentPlace::child(const std::string& name) const {
  return {row, relative.empty() ? name : relative + "/" + name};
}

Status save_document(Context& context, const DocumentPlace& place, Caller author,
                     std::string_view text) {
  author.path = place.path();
  const ObjectRef object = TRY(place.row.held(author));
  const DocumentOperations& operations = place.operations();
  if (operations.save == nullptr) return fail(EACCES, "{}: read-only", place.path());
  if (operations.check_name != nullptr) {
    // mv takes EINVAL for a directory that is moved into itself.
    if (Status named = operations.check_name(place.relative); !named) {
      return std::unexpected(Error{EBADMSG, std::move(named).error().message});
    }
  }
  if (operations.check != nullptr) {
    TRY(operations.check(object.get(), author, place.relative, text));
  }
  TRY(operations.save(object.get(), author, place.relative, text));
  if (author.host.pid != 0) context.versions.unpin_all(author.host.pid);
  constexpr std::size_t kShown = 1024;
  return context.services.record_control(author, place.path(), text::prefix(text, kShown));
}

namespace {

Status save_alone(Context& context, const DocumentPlace& place, Caller author,
                  std::string_view text) {
  const Lock alone(context.saves.saving());
  TRY(save_document(context, place, std::move(author), text));
  context.saves.saved(place.path());
  return ok();
}

}  // namespace

// --- files

DocumentFile::DocumentFile(ContextRef context, DocumentPlace place)
    : GeneratedFile(std::move(context), place.path(), place.is_read_only() ? 0444 : 0644),
      place_(std::move(place)) {}

Result<ContentRef> DocumentFile::render(Request& request) const {
  return current(request.caller());
}

Result<ContentRef> DocumentFile::current(const Caller& caller) const {
  const ObjectRef object = TRY(place_.row.find(caller));
  const DocumentOperations& operations = place_.operations();
  if (operations.content != nullptr) {
    return operations.content(object.get(), caller, place_.relative);
  }
  return text_content(TRY(operations.text(object.get(), caller, place_.relative)));
}

Result<std::optional<std::string>> DocumentFile::current_text(const Caller& caller) const {
  const auto now = current(caller);
  if (!now && now.error().code == ENOENT) return std::nullopt;
  const ContentRef content = TRY(now);
  return TRY(content->read(0, content->size()));
}

Result<ContentRef> DocumentFile::newest(Request& request, const ContentRef&) const {
  return render(request);
}

Status DocumentFile::alive(Request& request) const {
  if (place_.row.key.empty()) return ok();
  TRY(place_.row.held(request.caller()));
  return ok();
}

Result<Opened> DocumentFile::open_for_writing(Request& request, int flags,
                                              const VersionRef& node) const {
  TRY(place_.row.held(request.caller()));
  const auto self = std::static_pointer_cast<const DocumentFile>(shared_from_this());
  DocumentHandle::Start start{.truncated = (flags & O_TRUNC) != 0};
  if (!start.truncated) {
    start.base = TRY(current_text(request.caller()));
    start.text = start.base.value_or("");
  }
  return Opened{std::make_shared<DocumentHandle>(self, request, node, std::move(start)),
                {.direct_io = true}};
}

Status DocumentFile::resize(Request& request, VersionNode& node, Handle* open, off_t size) const {
  if (size < 0 || size > static_cast<off_t>(DocumentHandle::kLargest)) {
    return fail(EMSGSIZE, "{}: a document of more than {} bytes", path(), DocumentHandle::kLargest);
  }
  auto* const handle = dynamic_cast<DocumentHandle*>(open);
  if (handle != nullptr) {
    handle->resize(static_cast<std::size_t>(size));
    return ok();
  }
  if (Status done = cut(request, static_cast<std::size_t>(size)); !done) {
    return std::unexpected(noted(context(), request, path(), std::move(done).error()));
  }
  node.show_size(size);
  return ok();
}

// truncate(2): there is no close that could save it.
Status DocumentFile::cut(Request& request, std::size_t size) const {
  Caller author = TRY(request.writer());
  const Lock alone(context().saves.saving());
  std::optional<std::string> text = TRY(current_text(author));
  if (!text) return fail(ENOENT, "{}: no such document", path());
  if (text->size() == size) return ok();
  text->resize(size);
  TRY(save_document(context(), place_, std::move(author), *text));
  context().saves.saved(path());
  return ok();
}

// --- directories

NodeRef find_documents(const ContextRef& context, const RowPlace& row,
                       const std::string& relative) {
  DocumentPlace place{row, relative};
  return context->interned.ensure(place.path(), [&]() -> NodeRef {
    return std::make_shared<DocumentDirectory>(context, std::move(place));
  });
}

Result<std::vector<DocumentEntry>> DocumentDirectory::list(Request& request) const {
  const ObjectRef object = TRY(place_.row.find(request.caller()));
  return place_.operations().list(object.get(), request.caller(), place_.relative);
}

// Its content is the names in it.
std::int64_t DocumentDirectory::changed(const std::vector<DocumentEntry>& entries) const {
  std::string names;
  for (const DocumentEntry& entry : entries) names += entry.name + '\n';
  return context().versions.changed(path() + "/", text_content(std::move(names)),
                                    context().services.clock().wall());
}

Result<Attributes> DocumentDirectory::attributes(Request& request) {
  return recent_.of(request.caller(), context().services.clock(),
                    [&] { return find_attributes(request); });
}

Result<Attributes> DocumentDirectory::find_attributes(Request& request) const {
  const mode_t set = permissions(context(), place_.row.info());
  const mode_t mode = set != 0 ? set : place_.is_read_only() ? 0555 : 0755;
  const mode_t writable = place_.is_read_only() ? 0 : 0200;
  const auto entries = TRY(list(request));
  Attributes answer{make_stat(context(), path(), S_IFDIR | mode | writable, changed(entries)), 1};
  answer.attributes.st_nlink =
      2 + static_cast<nlink_t>(std::ranges::count(entries, true, &DocumentEntry::is_directory));
  return answer;
}

Result<std::vector<DirectoryItem>> DocumentDirectory::entries(Request& request) {
  std::vector<DirectoryItem> items;
  const auto add = [&](const std::string& name, mode_t type) {
    items.push_back({name, inode_number(child_path(path(), name)), type});
  };
  const auto documents = TRY(list(request));
  const bool has_own =
      std::ranges::find(documents, kReadme, &DocumentEntry::name) != documents.end();
  if (has_readme() && !has_own) {
    add(std::string(kReadme), S_IFREG);
  }
  for (const DocumentEntry& entry : documents) {
    add(entry.name, entry.is_directory ? S_IFDIR : S_IFREG);
  }
  return items;
}

bool DocumentDirectory::has_readme() const {
  return place_.relative.empty() || !place_.operations().names_are_users;
}

// Whether the name is a directory's, or a document's whose text could not be had; nothing where
// there is neither.
Result<std::optional<bool>> DocumentDirectory::find_directory(Request& request,
                                                              const std::string& name) const {
  const DocumentOperations& operations = place_.operations();
  if (operations.is_directory != nullptr) {
    const Caller& caller = request.caller();
    const ObjectRef object = TRY(place_.row.find(caller));
    if (operations.is_directory(object.get(), caller, place_.child(name).relative)) return true;
    return std::nullopt;
  }
  const auto entries = TRY(list(request));
  const auto entry = std::ranges::find(entries, name, &DocumentEntry::name);
  if (entry == entries.end()) return std::nullopt;
  return entry->is_directory;
}

// The text is asked for first: listing all names for each of them would be slow in large
// directories.
Result<Found> DocumentDirectory::find_entry(Request& request, const std::string& name) {
  auto file =
      find_version(request, std::make_shared<DocumentFile>(context_ref(), place_.child(name)));
  if (file) return file;
  const std::optional<bool> is_directory = TRY(find_directory(request, name));
  if (is_directory == false) return file;
  if (is_directory == true) {
    const NodeRef node = find_documents(context_ref(), place_.row, place_.child(name).relative);
    const Attributes attributes = TRY(node->attributes(request));
    return Found{node, attributes.attributes, {0, attributes.validity}};
  }
  if (name != kReadme || !has_readme()) {
    const bool is_there = file.error().code == EACCES || is_damage(file.error().code);
    if (is_there) return file;
    return fail(ENOENT, "{}: no such document", child_path(path(), name));
  }
  Found readme = TRY(find_version(
      request,
      std::make_shared<FixedFile>(
          context_ref(), child_path(path(), name),
          describe_documents(path(), place_.row.info(), place_.operations(), place_.relative))));
  if (place_.operations().names_are_users) readme.validity.entry = 0;  // one of theirs may come
  return readme;
}

Status DocumentDirectory::check_name(const std::string& name) const {
  const DocumentOperations& operations = place_.operations();
  return operations.check_name == nullptr ? ok()
                                          : operations.check_name(place_.child(name).relative);
}

// A document's name with more behind it, "f.toml.a1B2", or a name without an extension: perhaps a
// tool's temporary file.
bool DocumentDirectory::looks_temporary(const std::string& name) const {
  if (!std::ranges::all_of(name, is_file_name_character)) return false;
  if (!name.contains('.')) return true;
  for (std::size_t size = name.size() - 1; size > 0; --size) {
    if (check_name(name.substr(0, size))) return true;
  }
  return false;
}

Result<bool> DocumentDirectory::is_new_entry(const std::string& name) const {
  if (place_.is_read_only() || is_scratch_name(name)) return false;
  const Status named = check_name(name);
  if (named) return true;
  if (looks_temporary(name)) return false;
  return std::unexpected(named.error());
}

Result<CreatedNode> DocumentDirectory::create_entry(Request& request, const std::string& name,
                                                    int flags) {
  TRY(place_.row.held(request.caller()));
  const auto file = std::make_shared<const DocumentFile>(context_ref(), place_.child(name));
  const auto node =
      std::make_shared<VersionNode>(file, text_content({}), context().services.clock().wall());
  DocumentHandle::Start start{.truncated = (flags & O_TRUNC) != 0, .is_new = true};
  if ((flags & O_APPEND) != 0) {
    const Text refused =
        context().replies.find(DocumentHandle::refused_slot(session_of(request), file->path()));
    if (refused) start.text = *refused;
  }
  Opened opened{std::make_shared<DocumentHandle>(file, request, node, std::move(start)),
                {.direct_io = true}};
  const Attributes attributes = TRY(node->attributes(request));
  return CreatedNode{{node, attributes.attributes, {}}, std::move(opened)};
}

Result<Found> DocumentDirectory::make_entry_directory(Request& request, const std::string& name) {
  const DocumentPlace made = place_.child(name);
  const DocumentOperations& operations = place_.operations();
  if (operations.make_directory == nullptr) {
    return std::unexpected(refused("making a directory", name));
  }
  Caller author = TRY(request.writer());
  author.path = made.path();
  const ObjectRef object = TRY(place_.row.held(author));
  TRY(operations.make_directory(object.get(), author, made.relative));
  TRY(context().services.record_control(author, made.path(), "mkdir"));
  return find_entry(request, name);
}

Status DocumentDirectory::remove_entry(Request& request, const std::string& name) {
  const DocumentPlace removed = place_.child(name);
  const DocumentOperations& operations = place_.operations();
  if (operations.remove == nullptr) return std::unexpected(refused("removing it", name));
  Caller author = TRY(request.writer());
  author.path = removed.path();
  const ObjectRef object = TRY(place_.row.held(author));
  Status gone = operations.remove(object.get(), author, removed.relative);
  if (!gone && gone.error().code == ENOENT && name == kReadme) {
    return fail(EPERM, "{}: is generated; it goes with its directory", removed.path());
  }
  TRY(gone);
  if (request.host().pid != 0) context().versions.unpin_all(request.host().pid);
  return context().services.record_control(author, removed.path(), "remove");
}

Status DocumentDirectory::remove_entry_directory(Request& request, const std::string& name) {
  const DocumentPlace removed = place_.child(name);
  const DocumentOperations& operations = place_.operations();
  if (operations.remove_directory == nullptr) {
    return std::unexpected(refused("removing it", name));
  }
  Caller author = TRY(request.writer());
  author.path = removed.path();
  const ObjectRef object = TRY(place_.row.held(author));
  const auto documents = TRY(operations.list(object.get(), author, removed.relative));
  if (!documents.empty()) {
    return fail(ENOTEMPTY,
                "{}: is not empty ({} is in it); rm of what is in it, README left out, would do",
                removed.path(), documents.front().name);
  }
  TRY(operations.remove_directory(object.get(), author, removed.relative));
  context().interned.replace(removed.path());
  return context().services.record_control(author, removed.path(), "rmdir");
}

void DocumentDirectory::receive(Request& request, const std::string& name, std::string text,
                                Completion<Nothing> done) {
  const DocumentPlace saved = place_.child(name);
  auto status = [&]() -> Status {
    if (place_.is_read_only()) return std::unexpected(refused("writing", name));
    return save_alone(context(), saved, TRY(request.writer()), text);
  }();
  if (status) return done.complete(ok());
  done.complete(
      std::unexpected(noted(context(), request, saved.path(), std::move(status).error())));
}

// Saved under the new name first: a text that is refused there stays where it was. A directory is
// moved by its documents, which is what EXDEV makes tools do.
Status DocumentDirectory::move_entry(Request& request, const std::string& name, ScratchHome& target,
                                     const std::string& new_name) {
  auto* const documents = dynamic_cast<DocumentDirectory*>(&target);
  if (documents == nullptr) return std::unexpected(refused("moving it there", name));
  if (place_.operations().remove == nullptr) return std::unexpected(refused("moving it", name));
  const Found entry = TRY(find_entry(request, name));
  if (entry.node->type() == S_IFDIR) {
    return fail(EXDEV, "{}: directories of documents are moved one by one", path());
  }
  const DocumentFile file(context_ref(), place_.child(name));
  const ContentRef content = TRY(file.render(request));
  const std::string text = TRY(content->read(0, content->size()));
  TRY(save_alone(context(), documents->place_.child(new_name), TRY(request.writer()), text));
  return remove_entry(request, name);
}

}  // namespace agentfs::vfs
