// SPDX-License-Identifier: MIT
#include "fs/vfs/scratch_home.h"

#include <fcntl.h>

#include <algorithm>

#include "base/permissions.h"
#include "base/text.h"
#include "fs/vfs/directory_handle.h"

namespace agentfs::vfs {

// ".f.swp", "f~", "#f#", vim's probe "4913", "f.tmp.123.ab", "sedA1b2C3", git's "f.lock".
bool is_scratch_name(std::string_view name) {
  if (name.empty()) return false;
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (name.front() == '.' || name.back() == '~') return true;
  if (name.front() == '#' && name.back() == '#') return true;
  if (std::ranges::all_of(name, is_digit)) return true;
  if (name.starts_with("sed") && name.size() == 9 && !name.contains('.')) return true;
  for (const std::string_view end : {".swp", ".swx", ".tmp", ".lock", ".part", ".new"}) {
    if (name.ends_with(end)) return true;
  }
  return name.contains(".tmp.");
}

Error ScratchHome::refused(std::string_view what, const std::string& name) const {
  std::vector<std::string> roots;
  for (const auto& [root, node] : context_->data_roots) roots.push_back(root);
  return {EPERM, fmt::format("{}: {} is not possible here, where the system makes every name{}{}",
                             child_path(path_, name), what,
                             roots.empty() ? "" : "; plain files and directories go below ",
                             text::join(roots, ", "))};
}

Error ScratchHome::note(const Request& request, const std::string& name, Error error) const {
  return noted(*context_, request, child_path(path_, name), std::move(error));
}

ScratchTable::Place ScratchHome::place_of(const Request& request, const std::string& name) const {
  return {session_of(request), path_, name};
}

Result<Found> ScratchHome::found(Request& request, const NodeRef& node) const {
  const Attributes attributes = TRY(node->attributes(request));
  return Found{node, attributes.attributes, {0, attributes.validity}};
}

Result<Found> ScratchHome::lookup(Request& request, const std::string& name) {
  auto entry = find_entry(request, name);
  if (entry || entry.error().code != ENOENT) return entry;
  if (const ScratchRef scratch = find_scratch(request, name)) {
    return found(request, scratch);
  }
  return entry;
}

ScratchRef ScratchHome::find_scratch(const Request& request, const std::string& name) const {
  const ScratchTable::Place place = place_of(request, name);
  ScratchRef scratch = context_->scratch.find(place);
  if (!scratch || !scratch->is_over()) return scratch;
  context_->scratch.expire(place, scratch.get());
  return nullptr;
}

Result<Opened> ScratchHome::open_directory(Request& request) {
  std::vector<DirectoryItem> items = TRY(entries(request));
  for (const auto& [name, node] : context_->scratch.list(session_of(request), path_)) {
    const auto attributes = node->attributes(request);
    if (attributes) items.push_back({name, attributes->attributes.st_ino, node->type()});
  }
  return Opened{std::make_shared<DirectoryHandle>(path_, std::move(items)), {}};
}

Result<CreatedNode> ScratchHome::create(Request& request, const std::string& name, int flags,
                                        mode_t mode) {
  if (auto there = lookup(request, name)) {
    if ((flags & O_EXCL) != 0) return fail(EEXIST, "{}: exists", child_path(path_, name));
    Opened opened = TRY(there->node->open(request, flags));
    return CreatedNode{*std::move(there), std::move(opened)};
  } else if (there.error().code != ENOENT) {
    return std::unexpected(std::move(there).error());
  }
  auto created = [&]() -> Result<CreatedNode> {
    if (TRY(is_new_entry(name))) return create_entry(request, name, flags);
    return create_scratch(request, name, flags, mode);
  }();
  if (!created) return std::unexpected(note(request, name, std::move(created).error()));
  return created;
}

Result<CreatedNode> ScratchHome::create_scratch(Request& request, const std::string& name,
                                                int flags, mode_t mode) {
  if (!takes_texts()) return std::unexpected(refused("making a file", name));
  const auto place = place_of(request, name);
  const mode_t allowed = mode & kPermissions & ~request.tree().umask;
  const auto node =
      std::make_shared<ScratchNode>(context_, place, S_IFREG | allowed, std::string());
  TRY(context_->scratch.add(place, node));
  ScratchNode::arm(node);
  Opened opened = TRY(node->open(request, flags));
  return CreatedNode{TRY(found(request, node)), std::move(opened)};
}

Result<CreatedNode> ScratchHome::create_entry(Request&, const std::string& name, int) {
  return std::unexpected(refused("making it", name));
}

Result<Found> ScratchHome::make_node(Request& request, const std::string& name, mode_t mode,
                                     dev_t) {
  if (S_ISREG(mode)) {
    const CreatedNode created = TRY(create(request, name, O_WRONLY | O_EXCL, mode));
    created.opened.handle->release();
    return created.found;
  }
  return std::unexpected(note(request, name, refused("a special file", name)));
}

Result<Found> ScratchHome::make_entry_directory(Request&, const std::string& name) {
  return std::unexpected(refused("making a directory", name));
}

Result<Found> ScratchHome::make_directory(Request& request, const std::string& name, mode_t) {
  if (lookup(request, name)) return fail(EEXIST, "{}: exists", child_path(path_, name));
  auto made = make_entry_directory(request, name);
  if (!made) return std::unexpected(note(request, name, std::move(made).error()));
  return made;
}

// Only an editor's lock: a link that leads nowhere.
Result<Found> ScratchHome::make_link(Request& request, const std::string& name,
                                     const std::string& target) {
  if (lookup(request, name)) return fail(EEXIST, "{}: exists", child_path(path_, name));
  if (!is_scratch_name(name)) {
    return std::unexpected(note(request, name, refused("making a link", name)));
  }
  const auto place = place_of(request, name);
  const auto node = std::make_shared<ScratchNode>(context_, place, S_IFLNK | 0777U, target);
  if (const Status added = context_->scratch.add(place, node); !added) {
    return std::unexpected(note(request, name, added.error()));
  }
  ScratchNode::arm(node);
  return found(request, node);
}

Result<Found> ScratchHome::link(Request& request, Node&, const std::string& name) {
  return std::unexpected(note(request, name, refused("making a hard link", name)));
}

Status ScratchHome::remove_entry(Request&, const std::string& name) {
  return std::unexpected(refused("removing it", name));
}

Status ScratchHome::remove_entry_directory(Request&, const std::string& name) {
  return std::unexpected(refused("removing it", name));
}

Status ScratchHome::unlink(Request& request, const std::string& name) {
  auto entry = find_entry(request, name);
  if (!entry && entry.error().code == ENOENT) {
    if (context_->scratch.take(place_of(request, name))) return ok();
    return std::unexpected(std::move(entry).error());
  }
  const Status removed = remove_entry(request, name);
  if (!removed) return std::unexpected(note(request, name, removed.error()));
  return ok();
}

Status ScratchHome::remove_directory(Request& request, const std::string& name) {
  const Found entry = TRY(lookup(request, name));
  if (entry.node->type() != S_IFDIR) {
    return fail(ENOTDIR, "{}: not a directory", child_path(path_, name));
  }
  const Status removed = remove_entry_directory(request, name);
  if (!removed) return std::unexpected(note(request, name, removed.error()));
  return ok();
}

Status ScratchHome::move_entry(Request&, const std::string& name, ScratchHome&,
                               const std::string&) {
  return std::unexpected(refused("renaming it", name));
}

}  // namespace agentfs::vfs
