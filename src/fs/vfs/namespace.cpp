// SPDX-License-Identifier: MIT
// The mount's paths for agents: what FileSystem is as a Namespace.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "base/hash.h"
#include "base/read_at.h"
#include "base/text.h"
#include "fs/vfs/data_changes.h"
#include "fs/vfs/data_file.h"
#include "fs/vfs/document_node.h"
#include "fs/vfs/file_system_parts.h"
#include "fs/vfs/path_walk.h"
#include "fs/vfs/wait_for.h"
#include "kernel/write_guard.h"

namespace agentfs::vfs {
namespace {

constexpr std::uint64_t kWhole = 64U << 20U;
constexpr std::size_t kPiece = 1U << 20U;

// The bytes of an answer, also where they are still in a host file.
Result<std::string> bytes_of(Bytes bytes) {
  if (bytes.descriptor < 0) return std::move(bytes.text);
  return read_at(bytes.descriptor, static_cast<std::uint64_t>(bytes.offset), bytes.count);
}

Result<std::string> read_piece(Request& request, Handle& handle, std::uint64_t offset,
                               std::size_t count) {
  return bytes_of(TRY(wait_for<Bytes>([&](Completion<Bytes> done) {
    handle.read(request, static_cast<off_t>(offset), count, done);
  })));
}

Result<std::string> read_all(Request& request, Handle& handle, const std::string& path,
                             std::uint64_t offset, std::uint64_t limit) {
  std::string text;
  const std::uint64_t most = limit == 0 ? kWhole + 1 : limit;
  while (text.size() < most) {
    const auto count =
        static_cast<std::size_t>(std::min<std::uint64_t>(most - text.size(), kPiece));
    const std::string piece = TRY(read_piece(request, handle, offset + text.size(), count));
    if (piece.empty()) break;
    text += piece;
  }
  if (limit != 0 || text.size() <= kWhole) return text;
  return fail(EMSGSIZE, "{}: more than {} bytes; a range of them would do", path, kWhole);
}

// What a file of the mount has, with what programs have stored in it through mappings.
Result<std::string> text_at(Request& request, const Walked& at, const std::string& path,
                            std::uint64_t offset, std::uint64_t limit) {
  TRY(check_has_text(at.node->type(), path));
  TRY(check_access(request, *at.node, R_OK));
  if (const auto data = std::dynamic_pointer_cast<DataNode>(at.node)) {
    (void)data->tree().write_back(data);
  }
  const Opened opened = TRY(at.node->open(request, O_RDONLY));
  auto text = read_all(request, *opened.handle, path, offset, limit);
  opened.handle->release();
  return text;
}

// The host's caches, and who watches. False: the caches may still have what was there.
template <class Parts>
bool tell_of(Parts& parts, const DataChanges& changes) {
  const bool is_told = parts.invalidate(changes.made());
  parts.announce(changes.seen());
  return is_told;
}

template <class Parts>
Status put_text(Parts& parts, const Caller& caller, const std::string& path,
                const DataChanges::Text& text) {
  LocalRequest request(caller);
  const std::string clean = TRY(clean_path(path));
  auto whole = walk(request, parts.context, parts.root, clean);
  if (!whole && whole.error().code != ENOENT) return std::unexpected(std::move(whole).error());
  if (!whole && text.amends && !walk(request, parts.context, parts.root, parent_path(clean))) {
    return fail(ENOENT, "{}: there is no such file, nor its directory; write makes both", path);
  }
  DataChanges changes(request, parts.context, parts.root);
  const std::string target = whole ? whole->path : clean;
  if (changes.is_data(target)) {
    const Status written = changes.write(target, text);
    tell_of(parts, changes);
    return written;
  }
  const Walked parent = TRY(walk(request, parts.context, parts.root, parent_path(target)));
  auto* const documents = dynamic_cast<DocumentDirectory*>(parent.node.get());
  if (documents == nullptr) {
    return fail(EINVAL, "{}: not a file of a data tree or a document; a command line would do",
                path);
  }
  std::string made = TRY(text.make());
  return wait_for<Nothing>([&](Completion<Nothing> done) {
    documents->receive(request, std::string(text::last_part(target)), std::move(made), done);
  });
}

// Of a restore that failed at a step: `restored` paths have come back.
Status with_amount(Status done, std::size_t restored, const std::vector<RestoreStep>& steps,
                   std::size_t failed, const PastStore& past) {
  if (done || steps.size() == 1) return done;
  std::string& sentence = done.error().message;
  const bool is_all_kept = std::all_of(
      steps.begin() + static_cast<std::ptrdiff_t>(failed), steps.end(), [&](const auto& step) {
        return step.content.number == 0 || past.attributes(step.content).has_value();
      });
  const std::string_view rest =
      is_all_kept ? ", and the same command brings the rest"
                  : ", some of the rest is not kept any more, and what else is missing can be "
                    "restored by its own path";
  const std::string amount =
      restored == 0 ? std::string("; nothing was restored")
                    : fmt::format("; {} of {} paths were restored", restored, steps.size());
  sentence += amount;
  if (restored != 0 || !is_all_kept) sentence += rest;
  return done;
}

bool takes_commands(const Node& node, const RowInfo* row) {
  if (node.type() != S_IFREG || row == nullptr) return false;
  return row->kind == Kind::control || row->kind == Kind::reply || row->kind == Kind::setting ||
         row->kind == Kind::message;
}

// A command of an agent, while it waits for its answer: the request lives as long as that.
struct Command {
  explicit Command(const Caller& caller) : request(caller) {}
  LocalRequest request;
  std::shared_ptr<Handle> handle;
  std::string path;

  bool is_message = false;

  Result<std::string> finish() {
    TRY(handle->flush(request));
    if (is_message) return std::string();
    auto reply = read_all(request, *handle, path, 0, 0);
    // A command may end the object that it was for.
    if (!reply && reply.error().code == ESRCH) return std::string();
    return reply;
  }
};

}  // namespace

Result<struct stat> FileSystem::attributes(const Caller& caller, const std::string& path) {
  LocalRequest request(caller);
  const Walked at = TRY(walk(request, parts_->context, parts_->root, path));
  return TRY(at.node->attributes(request)).attributes;
}

Result<std::string> FileSystem::read(const Caller& caller, const std::string& path,
                                     std::uint64_t offset, std::uint64_t limit) {
  LocalRequest request(caller);
  const Walked at = TRY(walk(request, parts_->context, parts_->root, path));
  WriteGuard* const guard = at.in_data() ? parts_->context->services.guard() : nullptr;
  Sight sight = guard != nullptr ? guard->now() : Sight{};
  auto text = text_at(request, at, path, offset, limit);
  if (guard != nullptr && text && offset == 0 && limit == 0) {
    sight.digest = fnv1a(*text);
    guard->saw(caller, at.path, sight);
  }
  return text;
}

Result<std::string> FileSystem::peek(const Caller& caller, const std::string& path) {
  LocalRequest request(caller);
  const Walked at = TRY(walk(request, parts_->context, parts_->root, path));
  return text_at(request, at, path, 0, 0);
}

Status FileSystem::write(const Caller& caller, const std::string& path, std::string_view text) {
  return put_text(*parts_, caller, path,
                  {.make = [text]() -> Result<std::string> { return std::string(text); }});
}

Status FileSystem::edit(const Caller& caller, const std::string& path,
                        const std::function<Result<std::string>()>& text) {
  return put_text(*parts_, caller, path, {.make = text, .amends = true});
}

Status FileSystem::rewrite(const Caller& caller, const std::string& path,
                           const std::function<Result<std::string>()>& text) {
  LocalRequest request(caller);
  const std::string clean = TRY(clean_path(path));
  DataChanges changes(request, parts_->context, parts_->root);
  if (!changes.is_data(clean)) return fail(EINVAL, "{}: not a file of a data tree", path);
  const Status written = changes.rewrite(clean, {.make = text});
  // Behind the turn: who waits for it may hold what the host's kernel needs to forget the name.
  const bool is_told = tell_of(*parts_, changes);
  if (!written || is_told) return written;
  return fail(EBUSY, "{}: written, but the host's kernel may still have what was there", path);
}

Result<std::vector<NamespaceEntry>> FileSystem::list(const Caller& caller,
                                                     const std::string& path) {
  LocalRequest request(caller);
  const Walked at = TRY(walk(request, parts_->context, parts_->root, path));
  TRY(check_access(request, *at.node, R_OK));
  const Opened opened = TRY(at.node->open_directory(request));
  std::vector<NamespaceEntry> entries;
  const Status read = opened.handle->read_directory(request, 0, [&](const DirectoryItem& item) {
    if (item.name != "." && item.name != "..") entries.push_back({item.name, item.type, 0});
    return true;
  });
  opened.handle->release();
  TRY(read);
  for (NamespaceEntry& entry : entries) {
    if (entry.type == S_IFDIR) continue;
    const auto found = at.node->lookup(request, entry.name);
    if (!found) continue;  // gone meanwhile, or nothing to be seen by this caller
    entry.type = found->attributes.st_mode & S_IFMT;
    entry.size = static_cast<std::uint64_t>(found->attributes.st_size);
  }
  return entries;
}

Status FileSystem::remove(const Caller& caller, const std::string& path) {
  LocalRequest request(caller);
  const std::string clean = TRY(clean_path(path));
  const std::string name(text::last_part(clean));
  const Walked parent = TRY(walk(request, parts_->context, parts_->root, parent_path(clean)));
  if (!parent.in_data()) return parent.node->unlink(request, name);
  DataChanges changes(request, parts_->context, parts_->root);
  const Status removed = changes.remove(parent.node, name);
  tell_of(*parts_, changes);
  return removed;
}

Status FileSystem::access(const Caller& caller, const std::string& path, int mask) {
  LocalRequest request(caller);
  const Walked at = TRY(walk(request, parts_->context, parts_->root, path));
  return check_access(request, *at.node, mask);
}

Status FileSystem::restore(const Caller& caller, const std::vector<RestoreStep>& steps,
                           RestoreCourse& course) {
  if (parts_->past == nullptr) return fail(ENOTSUP, "history: nothing is kept here");
  LocalRequest request(caller);
  DataChanges changes(request, parts_->context, parts_->root);
  TRY(changes.begin_restore(steps, course.is_resumed));
  Status done = ok();
  std::size_t restored = 0;
  for (const RestoreStep& step : steps) {
    const auto put = changes.restore(step, *parts_->past);
    if (!put) {
      done = std::unexpected(put.error());
      break;
    }
    if (!*put) course.left.push_back(step.path);
    ++restored;
    if (course.reached) course.reached(restored);
  }
  // Of what could not come back no directory is left that nothing came back to.
  const std::size_t failed = restored;
  if (!done) restored -= changes.take_back_directories();
  done = with_amount(std::move(done), restored, steps, failed, *parts_->past);
  const Status finished = changes.finish_restore();
  if (done) done = finished;
  tell_of(*parts_, changes);
  return done;
}

void FileSystem::command(const Caller& caller, const std::string& path, std::string line,
                         Completion<std::string> reply) {
  const auto command = std::make_shared<Command>(caller);
  command->path = path;
  const auto opened = [&]() -> Status {
    const Walked at = TRY(walk(command->request, parts_->context, parts_->root, path));
    const auto* const version = dynamic_cast<const VersionNode*>(at.node.get());
    if (at.node->type() == S_IFDIR) return fail(EISDIR, "{}: a directory", path);
    if (version == nullptr || !takes_commands(*at.node, version->row())) {
      return fail(EINVAL, "{}: takes no commands", path);
    }
    TRY(check_access(command->request, *at.node, W_OK));
    command->is_message = version->row()->kind == Kind::message;
    if (!command->is_message) line += '\n';
    command->handle = TRY(at.node->open(command->request, O_RDWR)).handle;
    return ok();
  }();
  if (!opened) return reply.complete(std::unexpected(opened.error()));
  if (line.empty()) return reply.complete(fail(EINVAL, "{}: an empty message", path));
  const Completion<std::size_t> written([command, reply](Result<std::size_t> count) {
    auto answer = count ? command->finish() : Result<std::string>(std::unexpected(count.error()));
    command->handle->release();
    reply.complete(std::move(answer));
  });
  reply.on_cancel([written] { written.cancel(); });
  command->handle->write(command->request, 0, line, written);
}

}  // namespace agentfs::vfs
