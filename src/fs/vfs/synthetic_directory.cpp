// SPDX-License-Identifier: MIT
#include "fs/vfs/synthetic_directory.h"

#include <algorithm>

#include "base/permissions.h"
#include "base/text.h"
#include "fs/vfs/covered_node.h"
#include "fs/vfs/document_node.h"
#include "fs/vfs/history_node.h"
#include "fs/vfs/link_node.h"
#include "fs/vfs/readme.h"
#include "fs/vfs/stream_node.h"
#include "fs/vfs/trees_directory.h"

namespace agentfs::vfs {
namespace {

bool is_placeholder(const RowInfo& row) { return row.name.starts_with('<'); }

mode_t type_of(Kind kind) {
  switch (kind) {
    case Kind::link:
      return S_IFLNK;
    case Kind::directory:
    case Kind::collection:
    case Kind::documents:
    case Kind::data:
    case Kind::trees:
      return S_IFDIR;
    default:
      return S_IFREG;
  }
}

bool is_tag(std::string_view tag) {
  return !tag.empty() && tag.size() <= 64 && std::ranges::all_of(tag, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

// The owner may make temporary files in any directory, so it can be written by its owner.
mode_t directory_mode(const Context& context, const RowInfo& row) {
  return S_IFDIR | 0200U | (row.mode != 0 ? permissions(context, row) : 0755U);
}

}  // namespace

NodeRef ensure_directory(const ContextRef& context, const DirectoryType& type, const Key& key,
                         const std::string& path, mode_t mode) {
  return context->interned.ensure(path, [&]() -> NodeRef {
    return std::make_shared<SyntheticDirectory>(context, type, key, path, mode);
  });
}

SyntheticDirectory::SyntheticDirectory(ContextRef context, const DirectoryType& type, Key key,
                                       std::string path, std::size_t row)
    : ScratchHome(std::move(context), std::move(path)),
      type_(type),
      key_(std::move(key)),
      mode_(directory_mode(this->context(), type.rows()[row])),
      only_(row) {}

std::optional<std::size_t> SyntheticDirectory::find_row(std::string_view name) const {
  if (!has_rows() || name.starts_with('<')) return std::nullopt;
  const auto rows = type_.rows();
  const auto row = std::ranges::find(rows, name, &RowInfo::name);
  if (row == rows.end()) return std::nullopt;
  return static_cast<std::size_t>(row - rows.begin());
}

std::optional<std::size_t> SyntheticDirectory::collection() const {
  if (only_) return only_;
  const auto rows = type_.rows();
  const auto row = std::ranges::find_if(rows, is_placeholder);
  if (row == rows.end()) return std::nullopt;
  return static_cast<std::size_t>(row - rows.begin());
}

std::optional<std::pair<std::size_t, std::string>> SyntheticDirectory::find_tagged(
    std::string_view name) const {
  const std::size_t at = name.find('@');
  if (at == std::string_view::npos || !is_tag(name.substr(at + 1))) return std::nullopt;
  const auto row = find_row(name.substr(0, at));
  if (!row || type_.rows()[*row].kind != Kind::reply) return std::nullopt;
  return std::pair(*row, std::string(name.substr(at + 1)));
}

RowPlace SyntheticDirectory::place(std::size_t row, std::string_view name, std::string tag) const {
  return {&type_, key_, row, child_path(path(), name), std::move(tag)};
}

std::string SyntheticDirectory::readme() const {
  if (only_) return describe_row(path(), type_.rows()[*only_]);
  return describe_rows(path(), type_);
}

Result<Found> SyntheticDirectory::found(Request& request, const NodeRef& node,
                                        double validity) const {
  const Attributes attributes = TRY(node->attributes(request));
  return Found{node, attributes.attributes, {validity, attributes.validity}};
}

bool SyntheticDirectory::lists_trees() const {
  return key_.empty() && collection() && text::is_below(path(), history_place(""));
}

Result<Found> SyntheticDirectory::find_entry(Request& request, const std::string& name) {
  const ObjectRef object = TRY(find_object(type_, request.caller(), key_));
  if (const auto row = find_row(name)) return find_node(request, place(*row, name), object);
  if (name == kReadme) {
    if (lists_trees()) {
      auto child = find_child(request, name);
      if (child || child.error().code != ENOENT) return child;
    }
    auto text = find_version(
        request, std::make_shared<FixedFile>(context_ref(), child_path(path(), name), readme()));
    if (text && lists_trees()) text->validity.entry = 0;
    return text;
  }
  if (auto tagged = find_tagged(name)) {
    return find_file(request, place(tagged->first, name, std::move(tagged->second)));
  }
  return find_child(request, name);
}

Result<Found> SyntheticDirectory::find_child(Request& request, const std::string& name) const {
  const auto row = collection();
  if (!row) return fail(ENOENT, "{}: no such file", child_path(path(), name));
  const RowInfo& info = type_.rows()[*row];
  Key key = key_;
  key.push_back(name);
  TRY(find_object(*info.child, request.caller(), key));
  const std::string where = child_path(path(), name);
  const mode_t mode = directory_mode(context(), info);
  return found(request, ensure_directory(context_ref(), *info.child, key, where, mode), 0);
}

Result<Found> SyntheticDirectory::find_file(Request& request, RowPlace place) const {
  const mode_t mode = permissions(context(), place.info());
  return find_version(request, std::make_shared<RowFile>(context_ref(), std::move(place), mode));
}

// Directories that belong to no object that could go are believed for long.
Result<Found> SyntheticDirectory::find_node(Request& request, const RowPlace& place,
                                            const ObjectRef& object) const {
  const RowInfo& info = place.info();
  const double validity = key_.empty() ? kForever : 0;
  NodeRef node;
  switch (info.kind) {
    case Kind::wait:
    case Kind::follow:
      node = context().interned.ensure(place.path, [&]() -> NodeRef {
        return std::make_shared<StreamNode>(context_ref(), place);
      });
      return found(request, node, 0);
    case Kind::link: {
      const std::string target = TRY(type_.link(place.row, object, request.caller()));
      return found(request, find_link(context_ref(), place.path, target), 0);
    }
    case Kind::directory:
      node = ensure_directory(context_ref(), *info.child, key_, place.path,
                              directory_mode(context(), info));
      return found(request, node, validity);
    case Kind::collection:
      node = context().interned.ensure(place.path, [&]() -> NodeRef {
        return std::make_shared<SyntheticDirectory>(context_ref(), type_, key_, place.path,
                                                    place.row);
      });
      return found(request, node, validity);
    case Kind::documents:
      return found(request, find_documents(context_ref(), place, {}), validity);
    case Kind::trees:
      node = context().interned.ensure(place.path, [&]() -> NodeRef {
        return std::make_shared<TreesDirectory>(context_ref(), place);
      });
      return found(request, node, 0);
    case Kind::data: {
      const auto root = context().data_roots.find(place.path);
      if (root == context().data_roots.end()) {
        return fail(ENOENT, "{}: no store is attached", place.path);
      }
      // The host's kernel takes away what is mounted on a name that comes to lead elsewhere, and
      // does not forget a node that something is mounted on.
      const bool is_covered = request.part() == Part::generated;
      node = is_covered ? find_covered(context_ref(), place.path) : root->second;
      return found(request, node, validity);
    }
    default:
      return find_file(request, place);
  }
}

bool SyntheticDirectory::is_shown(const RowInfo& row) const {
  if (!has_rows() || !row.listed || is_placeholder(row)) return false;
  return row.kind != Kind::data || context().data_roots.contains(child_path(path(), row.name));
}

Result<std::vector<std::string>> SyntheticDirectory::listed_names(const ObjectRef& object,
                                                                  Request& request) const {
  const auto row = collection();
  if (!row || !type_.rows()[*row].listed) return std::vector<std::string>();
  return type_.list(*row, object, request.caller());
}

Result<std::vector<DirectoryItem>> SyntheticDirectory::entries(Request& request) {
  const ObjectRef object = TRY(find_object(type_, request.caller(), key_));
  std::vector<DirectoryItem> items;
  const auto add = [&](std::string_view name, mode_t type) {
    items.push_back({std::string(name), inode_number(child_path(path(), name)), type});
  };
  const std::vector<std::string> listed = TRY(listed_names(object, request));
  const bool is_listed = lists_trees() && std::ranges::find(listed, kReadme) != listed.end();
  if (!find_row(kReadme) && !is_listed) add(kReadme, S_IFREG);
  for (std::size_t index = 0; index < type_.rows().size(); ++index) {
    const RowInfo& row = type_.rows()[index];
    if (!is_shown(row)) continue;
    // A link that leads nowhere for this caller is not found either.
    if (row.kind == Kind::link && !type_.link(index, object, request.caller())) continue;
    add(row.name, type_of(row.kind));
    if (row.kind != Kind::data) continue;
    const auto root = context().data_roots.at(child_path(path(), row.name))->attributes(request);
    if (root) items.back().inode = root->attributes.st_ino;
  }
  for (const std::string& name : listed) add(name, S_IFDIR);
  return items;
}

// What holds the data trees has the room of their disk; all else holds nothing.
Result<struct statvfs> SyntheticDirectory::statistics(Request& request) {
  for (const RowInfo& row : type_.rows()) {
    if (row.kind != Kind::data || !is_shown(row)) continue;
    return context().data_roots.at(child_path(path(), row.name))->statistics(request);
  }
  return ScratchHome::statistics(request);
}

Result<Attributes> SyntheticDirectory::attributes(Request& request) {
  if (!collection()) return find_attributes(request);
  return recent_.of(request.caller(), context().services.clock(),
                    [&] { return find_attributes(request); });
}

Result<Attributes> SyntheticDirectory::find_attributes(Request& request) const {
  const ObjectRef object = TRY(find_object(type_, request.caller(), key_));
  Attributes answer{make_stat(context(), path(), mode_, context().started), kForever};
  nlink_t links = 2;
  for (const RowInfo& row : type_.rows()) {
    if (is_shown(row) && type_of(row.kind) == S_IFDIR) ++links;
  }
  links += TRY(listed_names(object, request)).size();
  if (collection()) answer.validity = kShortly;
  answer.attributes.st_nlink = links;
  return answer;
}

bool SyntheticDirectory::takes_texts() const {
  return has_rows() && std::ranges::any_of(type_.rows(), [](const RowInfo& row) {
           return type_of(row.kind) == S_IFREG && (row.mode & 0222U) != 0;
         });
}

void SyntheticDirectory::receive(Request& request, const std::string& name, std::string text,
                                 Completion<Nothing> done) {
  const auto tagged = find_tagged(name);
  const auto row = tagged ? std::optional(tagged->first) : find_row(name);
  const Kind kind = row ? type_.rows()[*row].kind : Kind::value;
  const bool is_written = kind == Kind::control || kind == Kind::setting || kind == Kind::reply ||
                          kind == Kind::message;
  if (!is_written) {
    Error error{EACCES, fmt::format("{}: cannot be written", child_path(path(), name))};
    return done.complete(
        std::unexpected(noted(context(), request, child_path(path(), name), std::move(error))));
  }
  const auto file = std::make_shared<RowFile>(
      context_ref(), place(*row, name, tagged ? tagged->second : std::string()),
      type_.rows()[*row].mode & kPermissions);
  write_whole(request, file, std::move(text), std::move(done));
}

}  // namespace agentfs::vfs
