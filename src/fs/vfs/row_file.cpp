// SPDX-License-Identifier: MIT
#include "fs/vfs/row_file.h"

#include <fcntl.h>

#include <memory>
#include <thread>
#include <utility>

#include "base/text.h"
#include "fs/vfs/control_handle.h"
#include "fs/vfs/data_file.h"
#include "fs/vfs/history_node.h"
#include "fs/vfs/message_handle.h"
#include "fs/vfs/reply_handle.h"

namespace agentfs::vfs {

Result<ObjectRef> find_object(const DirectoryType& type, const Caller& caller, const Key& key) {
  auto object = type.find(caller, key);
  if (!object && object.error().code == ESRCH) object.error().code = ENOENT;
  return object;
}

Result<ObjectRef> RowPlace::find(const Caller& caller) const {
  return find_object(*type, caller, key);
}

Result<ObjectRef> RowPlace::held(const Caller& caller) const {
  auto object = type->find(caller, key);
  if (!object && object.error().code == ENOENT) object.error().code = ESRCH;
  return object;
}

namespace {

// "/workspaces/site" of one of its files, also where the other session has them; "" of others.
std::string root_of(const RowPlace& place) {
  if (!place.key.empty() && place.key.front().starts_with('/')) return place.key.front();
  const std::string there = history_place("");
  if (!text::is_below(place.path, there)) return {};
  return std::string(text::first_parts(std::string_view(place.path).substr(there.size()), 2));
}

TreeNodeRef find_root(const Context& context, const RowPlace& place) {
  const std::string path = root_of(place);
  const auto top =
      std::static_pointer_cast<DataNode>(path.empty() ? nullptr : context.top_of(path));
  if (top == nullptr) return nullptr;
  const auto found = top->tree().store().lookup(top->file(), std::string(text::last_part(path)));
  return found ? found->node : nullptr;
}

}  // namespace

NamedTree::NamedTree(const Context& context, const RowPlace& place)
    : root_(find_root(context, place)) {}

Status NamedTree::check(const Context& context, const RowPlace& place) const {
  if (root_ == nullptr || find_root(context, place) == root_) return ok();
  return fail(ESTALE,
              "{}: was opened when {} was another one, which has gone or has another name by now; "
              "opened again it is of what is there",
              place.path, root_of(place));
}

std::string as_comments(std::string_view text) {
  std::string out;
  for (const std::string_view line : text::lines(text)) out += fmt::format("# {}\n", line);
  return out;
}

std::string usage_of(const RowInfo& row) {
  if (row.kind == Kind::reply) {
    return as_comments(fmt::format("{}\nusage: {}", row.doc, row.usage));
  }
  std::string out = as_comments(row.doc);
  std::size_t width = 0;
  for (const VerbInfo& verb : row.verbs) width = std::max(width, verb.syntax.size());
  for (const VerbInfo& verb : row.verbs) {
    out += fmt::format("# {:<{}}  {}\n", verb.syntax, width, verb.doc);
  }
  return out;
}

RowFile::RowFile(ContextRef context, RowPlace place, mode_t mode)
    : GeneratedFile(std::move(context), place.path, mode), place_(std::move(place)) {}

std::string RowFile::slot(const Request& request) const {
  const std::string owner = place_.tag.empty()
                                ? session_of(request)
                                : fmt::format("process {}", request.caller().process.value);
  return owner + '\0' + path();
}

std::string RowFile::identity(const Request& request) const {
  const Kind kind = place_.info().kind;
  return kind == Kind::control || kind == Kind::reply ? slot(request) : path();
}

// Whom a text may differ by.
std::string RowFile::reader_of(const Request& request) const {
  return fmt::format("{} {} {}", request.host().uid, request.caller().process.value, path());
}

Result<ContentRef> RowFile::render(Request& request) const {
  const RowInfo& row = place_.info();
  const ObjectRef object = TRY(place_.find(request.caller()));
  const auto text = [&] { return place_.type->read(place_.row, object, request.caller()); };
  if (row.slow) return context().slow_texts.get(reader_of(request), text);
  if (row.kind != Kind::control && row.kind != Kind::reply) return text();
  const Text last = context().replies.find(slot(request));
  if (row.kind == Kind::reply) return text_content(last ? *last : usage_of(row));
  return text_content(usage_of(row) + (last ? *last : std::string()));
}

Status RowFile::alive(Request& request) const {
  if (place_.key.empty()) return ok();
  TRY(place_.held(request.caller()));
  return ok();
}

Result<Opened> RowFile::open_for_writing(Request& request, int flags,
                                         const VersionRef& node) const {
  const auto self = std::static_pointer_cast<const RowFile>(shared_from_this());
  const ObjectRef object = TRY(place_.held(request.caller()));
  std::shared_ptr<Handle> handle;
  switch (place_.info().kind) {
    case Kind::reply:
      handle = std::make_shared<ReplyHandle>(self, request, flags, node->content());
      break;
    case Kind::message:
      TRY(place_.type->writable(place_.row, object, request.caller()));
      handle = std::make_shared<MessageHandle>(self, request, flags, node->content());
      break;
    default:
      handle = std::make_shared<ControlHandle>(self, request, flags, node->content());
  }
  return Opened{std::move(handle), {.direct_io = true}};
}

void write_whole(Request& request, const RowFileRef& file, std::string text,
                 Completion<Nothing> done) {
  const auto opened = [&]() -> Result<Opened> {
    const auto node =
        std::make_shared<VersionNode>(file, TRY(file->render(request)), file->context().started);
    return node->open(request, O_WRONLY | O_TRUNC);
  }();
  if (!opened) return done.complete(std::unexpected(opened.error()));
  const bool by_lines = file->place().info().kind != Kind::message;
  if (by_lines && !text.empty() && !text.ends_with('\n')) text += '\n';
  // The request may be gone when a reply comes later, or from another thread; what answers so has
  // nothing to flush.
  const auto inside = std::make_shared<bool>(true);
  const Completion<std::size_t> written([handle = opened->handle, done, inside,
                                         thread = std::this_thread::get_id(),
                                         &request](Result<std::size_t> count) {
    Status status = ok();
    if (!count) status = std::unexpected(std::move(count).error());
    const bool is_at_once = std::this_thread::get_id() == thread && *inside;
    if (status && is_at_once) status = handle->flush(request);
    handle->release();
    done.complete(std::move(status));
  });
  done.on_cancel([written] { written.cancel(); });
  opened->handle->write(request, 0, text, written);
  *inside = false;
}

}  // namespace agentfs::vfs
