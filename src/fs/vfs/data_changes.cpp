// SPDX-License-Identifier: MIT
#include "fs/vfs/data_changes.h"

#include <fcntl.h>

#include <climits>
#include <optional>
#include <ranges>

#include "base/blocks.h"
#include "base/file_times.h"
#include "base/hash.h"
#include "base/temporary_name.h"
#include "base/text.h"
#include "fs/vfs/dressing.h"
#include "fs/vfs/history_node.h"
#include "fs/vfs/path_walk.h"
#include "fs/vfs/wait_for.h"
#include "kernel/write_guard.h"

namespace agentfs::vfs {
namespace {

constexpr int kAttempts = 16;  // to replace what others write to

std::string name_of(const std::string& path) { return std::string(text::last_part(path)); }

std::string_view kind_of(mode_t type) {
  switch (type) {
    case S_IFIFO:
      return "a FIFO";
    case S_IFSOCK:
      return "a socket";
    default:
      return "a device";
  }
}

Status check_length(std::string_view name, std::string_view path) {
  if (name.size() <= NAME_MAX) return ok();
  return fail(ENAMETOOLONG, "{}: a name of {} bytes in it; up to {} would do", path, name.size(),
              NAME_MAX);
}

// Of a name in a data tree: until the end of what is done with it no whole tree is kept or copied.
void take_turn(std::optional<ChangeOrder::Turn>& turn, const Node& directory,
               const std::string& name) {
  const auto* const data = dynamic_cast<const DataNode*>(&directory);
  if (data != nullptr) turn.emplace(data->tree().order(), data->naming(name));
}

}  // namespace

Status check_has_text(mode_t type, const std::string& path) {
  if (type == S_IFREG || type == S_IFLNK) return ok();
  if (type == S_IFDIR) return fail(EISDIR, "{}: a directory; a file in it would do", path);
  return fail(ENOTSUP, "{}: {}, not a file with a text; a command can use it", path, kind_of(type));
}

bool DataChanges::is_data(const std::string& path) const {
  for (const auto& [root, node] : context_->data_roots) {
    if (text::is_below(path, root)) return true;
  }
  return false;
}

void DataChanges::note(Staleness stale, TreeEvent::Kind kind, mode_t type) {
  seen_.push_back({kind, child_path(stale.directory->path(), stale.name), type});
  made_.push_back(std::move(stale));
}

// A link in the place of something is no writing to it.
void DataChanges::note_put(const NodeRef& directory, const std::string& name,
                           const Result<Found>& old, mode_t type, bool done) {
  const std::size_t first = made_.size();
  const bool is_written = old && type == S_IFREG && old->node->type() == S_IFREG;
  if (old && !is_written) {
    note({directory, name, old->node}, TreeEvent::Kind::removed, old->node->type());
  }
  note({directory, name, old ? old->node : nullptr},
       is_written ? TreeEvent::Kind::written : TreeEvent::Kind::made, type);
  if (old && done) note_gone(made_[first], *old);
}

void DataChanges::note_gone(Staleness& stale, const Found& old) {
  const bool has_others = old.node->type() != S_IFDIR && old.attributes.st_nlink > 1;
  if (!has_others) stale.gone = old.node;
}

Status DataChanges::may_change(const Node& directory, const std::string& name) {
  return context_->services.may_change(request_.caller(), child_path(directory.path(), name));
}

// A restore, a merge or the end of a conflict names what shall be there: it comes by a control
// file.
WriteGuard* DataChanges::guard() const {
  return request_.caller().path.empty() ? context_->services.guard() : nullptr;
}

std::unexpected<Error> DataChanges::refuse_no_directory(std::string_view path) {
  return fail(ENOTDIR,
              "{}: no directory has this name now; with that moved away, what lay below can come "
              "back",
              text::shown(path));
}

// On no stack of calls, as remove_name().
Result<DataChanges::Way> DataChanges::way_to(const std::string& path) {
  std::vector<std::string> missing;
  std::string above = path;
  auto there = walk(request_, context_, root_, above);
  while (!there && there.error().code == ENOENT && is_data(above)) {
    missing.push_back(name_of(above));
    TRY(check_length(missing.back(), above));
    above = parent_path(above);
    there = walk(request_, context_, root_, above);
  }
  if (!there) return std::unexpected(there.error());
  if (there->node->type() != S_IFDIR) return refuse_no_directory(above);
  return Way{there->node, std::move(missing)};
}

Result<NodeRef> DataChanges::make_way(Way way) {
  for (const std::string& name : way.missing | std::views::reverse) {
    TRY(may_change(*way.directory, name));
    way.directory = TRY(make_directory(way.directory, name, 0755)).node;
  }
  return way.directory;
}

Result<NodeRef> DataChanges::ensure_directory(const std::string& path) {
  return make_way(TRY(way_to(path)));
}

Result<Found> DataChanges::make_directory(const NodeRef& parent, const std::string& name,
                                          mode_t mode) {
  const std::string path = child_path(parent->path(), name);
  const std::uint64_t trashed = context_->services.trashed(path);
  Found made = TRY(parent->make_directory(request_, name, mode));
  note({parent, name, nullptr}, TreeEvent::Kind::made, S_IFDIR);
  ensured_.push_back({parent, name, made.node, path, trashed});
  return made;
}

Result<Hold> DataChanges::hold_room(const Way& way, const std::string& path, const Text& text) {
  const auto* const data = dynamic_cast<const DataNode*>(way.directory.get());
  if (way.missing.empty() || data == nullptr) return Hold();
  QuotaTable& quotas = data->tree().quotas();
  if (!quotas.is_active()) return Hold();
  const auto directories = static_cast<std::int64_t>(way.missing.size());
  const auto bytes = static_cast<std::int64_t>(whole_blocks(TRY(text.make()).size()));
  const auto block = static_cast<std::int64_t>(whole_blocks(1));
  Growth more;
  more.add(request_.caller().host.uid,
           {.bytes = bytes + directories * block, .inodes = directories + 1});
  auto hold = quotas.hold_room(std::string(text::first_parts(path, 2)), more);
  if (!hold) return std::unexpected(noted(*context_, request_, path, std::move(hold).error()));
  return hold;
}

// As if they had never been made: for watchers they were not, and for history nothing has gone.
std::size_t DataChanges::take_back_directories() {
  std::size_t steps = 0;
  for (const Ensured& one : ensured_ | std::views::reverse) {
    const auto there = one.parent->lookup(request_, one.name);
    if (!there || there->node != one.node) continue;  // somebody has moved it
    request_.take_back(one.trashed);
    if (!one.parent->remove_directory(request_, one.name)) continue;  // somebody uses it already
    made_.push_back({one.parent, one.name, nullptr});
    std::erase_if(seen_, [&](const TreeEvent& event) {
      return event.kind == TreeEvent::Kind::made && event.path == one.path;
    });
    steps += std::erase_if(finishing_, [&](const auto& last) { return last.first == one.node; });
  }
  request_.take_back({});
  ensured_.clear();
  return steps;
}

Status DataChanges::write_new(Node& directory, const std::string& name, const Found* old,
                              std::string_view text) {
  const mode_t mode = old != nullptr ? old->attributes.st_mode & 0777U : 0644;
  const CreatedNode created =
      TRY(directory.create(request_, name, O_WRONLY | O_CREAT | O_EXCL, mode));
  Handle& handle = *created.opened.handle;
  const auto filled = [&]() -> Status {
    constexpr std::size_t kPiece = 1U << 20U;
    for (std::size_t at = 0; at < text.size(); at += kPiece) {
      const auto count = wait_for<std::size_t>([&](const Completion<std::size_t>& done) {
        handle.write(request_, static_cast<off_t>(at), text.substr(at, kPiece), done);
      });
      if (!count) return std::unexpected(count.error());
    }
    Node& made = *created.found.node;
    if (old != nullptr) {
      TRY(dress_like(request_, *old, made, handle));
    } else {
      SetAttributes wanted{.which = SetAttributes::mode};
      wanted.values.st_mode = mode;
      TRY(made.set_attributes(request_, &handle, wanted));
    }
    return handle.flush(request_);
  }();
  handle.release();
  return filled;
}

Result<DataChanges::Temporary> DataChanges::Temporary::begin(Services& services,
                                                             const Node& directory) {
  std::string name = temporary_name();
  // It follows the renames of its directory from here on.
  std::optional<ChangeOrder::Turn> turn;
  take_turn(turn, directory, name);
  std::string path = turn ? turn->names().path : child_path(directory.path(), name);
  TRY(services.begin_temporary(path));
  return Temporary(services, std::move(name), std::move(path));
}

Status DataChanges::Temporary::as_of(std::string_view path, Status done) const {
  const auto at = done ? std::string::npos : done.error().message.find(name);
  if (at == std::string::npos) return done;
  std::string& message = done.error().message;
  message = fmt::format("{}{}", path, message.substr(at + name.size()));
  return done;
}

Status DataChanges::write(const std::string& path, const Text& text) {
  Status written = write_in_place(path, text);
  if (!written) take_back_directories();
  return written;
}

Status DataChanges::rewrite(const std::string& path, const Text& text) {
  const auto directory = ensure_directory(parent_path(path));
  if (!directory) {
    take_back_directories();
    return std::unexpected(directory.error());
  }
  std::optional<ChangeOrder::Turn> turn;
  take_turn(turn, **directory, name_of(path));
  return write(path, text);
}

Status DataChanges::write_in_place(const std::string& path, const Text& text) {
  const std::string name = name_of(path);
  TRY(check_length(name, path));
  Way way = TRY(way_to(parent_path(path)));
  const Hold room = TRY(hold_room(way, path, text));
  NodeRef directory = TRY(make_way(std::move(way)));
  TRY(may_change(*directory, name));
  // Of the names that agentfs itself has in it none is to be written.
  if (auto* const history = dynamic_cast<HistoryNode*>(directory.get())) {
    directory = TRY(history->receiving(request_, name));
  }
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const std::size_t touched = request_.touched();
    Status written = write_once(directory, path, text);
    if (written || request_.touched() == touched) return written;
  }
  return fail(EBUSY,
              "{}: is being written all the time, and what was to be put there is made of what it "
              "has; nothing was written, and again, when that pauses, would do",
              path);
}

// Replaces what was there before the text was made, and nothing that came since.
Status DataChanges::write_once(const NodeRef& directory, const std::string& path,
                               const Text& text) {
  const std::string name = name_of(path);
  const auto old = directory->lookup(request_, name);
  if (old) TRY(check_has_text(old->node->type(), path));
  const bool is_file = old && old->node->type() == S_IFREG;
  if (is_file) await_telling(old->attributes);  // of what comes once the text is made of it
  const std::string made = TRY(text.make());
  // What lies ready is in no checkpoint or fork.
  std::optional<ChangeOrder::Turn> turn;
  take_turn(turn, *directory, name);
  Replacement attempt{.path = child_path(directory->path(), name),
                      .text = [&made]() -> Result<std::string> { return made; }};
  const bool is_judged = is_file && guard() != nullptr && !text.amends;
  if (is_judged) TRY(guard()->may_replace(request_.caller(), attempt));
  const bool knows =
      guard() != nullptr && (!text.amends || guard()->has_seen(request_.caller(), attempt.path));
  const std::string_view whole = attempt.merged ? std::string_view(*attempt.merged) : made;
  const Temporary lies_ready = TRY(Temporary::begin(context_->services, *directory));
  const std::string& temporary = lies_ready.name;
  const std::size_t touched = request_.touched();
  Status written = write_new(*directory, temporary, is_file ? &*old : nullptr, whole);
  request_.expect(old ? LocalRequest::Expected{old->node, old->attributes}
                      : LocalRequest::Expected{});
  if (written) written = directory->rename(request_, temporary, *directory, name, 0);
  request_.expect({});
  if (!written) static_cast<void>(directory->unlink(request_, temporary));
  if (request_.touched() != touched) return written;
  note_put(directory, name, old, S_IFREG, written.has_value());
  // Of a merged text the process has not seen the other part.
  if (written && guard() != nullptr && !attempt.merged) {
    Sight sight;
    if (knows) {
      sight = guard()->now();
      sight.digest = fnv1a(made);
    }
    guard()->saw(request_.caller(), attempt.path, sight);
  }
  return lies_ready.as_of(path, std::move(written));
}

Result<std::vector<std::string>> DataChanges::names(Node& directory) {
  const Opened opened = TRY(directory.open_directory(request_));
  std::vector<std::string> names;
  off_t offset = 0;
  for (bool more = true; more;) {
    more = false;
    TRY(opened.handle->read_directory(request_, offset, [&](const DirectoryItem& item) {
      if (item.name != "." && item.name != "..") names.push_back(item.name);
      offset = item.next_offset;
      more = true;
      return true;
    }));
  }
  opened.handle->release();
  return names;
}

// What is there, or nothing left of what was in a directory.
Status DataChanges::remove_one(const NodeRef& directory, const std::string& name,
                               const Found& found) {
  const bool is_directory = found.node->type() == S_IFDIR;
  if (!is_directory && guard() != nullptr) {
    Replacement attempt{.way = Replacement::Way::remove,
                        .path = child_path(directory->path(), name)};
    TRY(guard()->may_replace(request_.caller(), attempt));
  }
  note({directory, name, found.node}, TreeEvent::Kind::removed, found.node->type());
  TRY(is_directory ? directory->remove_directory(request_, name)
                   : directory->unlink(request_, name));
  note_gone(made_.back(), found);
  return ok();
}

// The host's kernel lets a directory go when it knows of nothing in it. On no stack of calls:
// agents make them as deep as they like.
Status DataChanges::remove_name(const NodeRef& directory, const std::string& name) {
  struct Level {
    NodeRef directory;
    std::string name;
    Found found;
    std::vector<std::string> left;  // of what is in it
  };
  std::vector<Level> way;
  const auto enter = [&](const NodeRef& parent, const std::string& child) -> Status {
    Found found = TRY(parent->lookup(request_, child));
    if (found.node->type() != S_IFDIR) return remove_one(parent, child, found);
    std::vector<std::string> inside = TRY(names(*found.node));
    std::ranges::reverse(inside);
    way.push_back({parent, child, std::move(found), std::move(inside)});
    return ok();
  };
  TRY(enter(directory, name));
  while (!way.empty()) {
    Level& last = way.back();
    if (last.left.empty()) {
      TRY(remove_one(last.directory, last.name, last.found));
      way.pop_back();
      continue;
    }
    const std::string child = std::move(last.left.back());
    last.left.pop_back();
    const NodeRef parent = last.found.node;
    TRY(enter(parent, child));
  }
  return ok();
}

Status DataChanges::remove(const NodeRef& directory, const std::string& name) {
  TRY(may_change(*directory, name));
  return remove_name(directory, name);
}

}  // namespace agentfs::vfs
