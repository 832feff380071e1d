// SPDX-License-Identifier: MIT
// Renames in synthetic directories: how editors and tools save.
#include <fcntl.h>

#include "base/permissions.h"
#include "fs/vfs/scratch_home.h"
#include "fs/vfs/wait_for.h"

namespace agentfs::vfs {

Status ScratchHome::rename(Request& request, const std::string& name, Node& new_parent,
                           const std::string& new_name, unsigned flags) {
  return wait_for<Nothing>([&](Completion<Nothing> done) {
    start_rename(request, name, new_parent, new_name, flags, done);
  });
}

void ScratchHome::start_rename(Request& request, const std::string& name, Node& new_parent,
                               const std::string& new_name, unsigned flags,
                               Completion<Nothing> done) {
  const auto refuse = [&](Error error) {
    done.complete(std::unexpected(note(request, name, std::move(error))));
  };
  auto* const target = dynamic_cast<ScratchHome*>(&new_parent);
  if (target == nullptr) {
    return done.complete(fail(EXDEV, "{}: not a directory of the same tree", new_parent.path()));
  }
  if ((flags & ~static_cast<unsigned>(RENAME_NOREPLACE)) != 0) {
    return refuse({EINVAL, fmt::format("{}: these rename flags ({:#x}) mean nothing here",
                                       child_path(path_, name), flags)});
  }
  if (target == this && name == new_name) return done.complete(ok());
  const bool exists = target->find_entry(request, new_name).has_value();
  if (exists && (flags & RENAME_NOREPLACE) != 0) {
    return done.complete(fail(EEXIST, "{}: exists", child_path(target->path_, new_name)));
  }
  const ScratchRef scratch = find_scratch(request, name);
  Status status = ok();
  if (!scratch) {
    status = rename_entry(request, name, *target, new_name);
  } else if (!exists && !target->is_new_entry(new_name).value_or(true)) {
    status = rename_scratch(request, scratch, *target, new_name);
  } else if (scratch->type() != S_IFREG) {
    status = std::unexpected(refused("renaming a link", name));
  } else {
    return receive_scratch(request, scratch, *target, new_name, done);
  }
  if (!status) return refuse(std::move(status).error());
  done.complete(ok());
}

// The name goes once its text has been taken: a text that is refused can be mended.
void ScratchHome::receive_scratch(Request& request, const ScratchRef& node, ScratchHome& target,
                                  const std::string& new_name, const Completion<Nothing>& done) {
  Completion<Nothing> received(
      [context = context_, place = node->place(), node, done](Status result) {
        if (result) {
          context->scratch.expire(place, node.get());
        } else {
          node->give_back();
        }
        done.complete(std::move(result));
      });
  done.on_cancel([received] { received.cancel(); });
  target.receive(request, new_name, node->take_text(), received);
}

Status ScratchHome::rename_scratch(Request& request, const ScratchRef& node, ScratchHome& target,
                                   const std::string& new_name) {
  if (!target.takes_texts()) return std::unexpected(target.refused("making a file", new_name));
  const auto place = target.place_of(request, new_name);
  context_->scratch.take(place);
  context_->scratch.expire(node->place(), node.get());
  node->move_to(place);
  return context_->scratch.add(place, node);
}

// A backup: the editor gets a copy under that name, and the entry stays in force meanwhile.
Status ScratchHome::rename_entry(Request& request, const std::string& name, ScratchHome& target,
                                 const std::string& new_name) {
  const Found entry = TRY(find_entry(request, name));
  if (!is_scratch_name(new_name) || target.find_entry(request, new_name) ||
      entry.node->type() != S_IFREG || entry.attributes.st_size == 0) {
    return move_entry(request, name, target, new_name);
  }
  const auto handle = TRY(entry.node->open(request, O_RDONLY)).handle;
  const Bytes bytes = TRY(wait_for<Bytes>(
      [&](Completion<Bytes> done) { handle->read(request, 0, ScratchNode::kLargest, done); }));
  handle->release();
  const auto place = target.place_of(request, new_name);
  const auto copy = std::make_shared<ScratchNode>(
      context_, place, S_IFREG | (entry.attributes.st_mode & kPermissions), bytes.text);
  context_->scratch.take(place);
  TRY(context_->scratch.add(place, copy));
  ScratchNode::arm(copy);
  return ok();
}

}  // namespace agentfs::vfs
