// SPDX-License-Identifier: MIT
#include "fs/vfs/document_handle.h"

namespace agentfs::vfs {

DocumentHandle::DocumentHandle(DocumentFileRef file, Request& request, VersionRef node, Start start)
    : file_(std::move(file)),
      node_(std::move(node)),
      opener_(request.host().pid),
      session_(session_of(request)),
      is_new_(start.is_new),
      author_(request.writer()),
      text_(std::move(start.text)),
      truncated_(start.truncated),
      cut_at_(file_->context().saves.now()) {
  if (truncated_) node_->show_size(static_cast<std::int64_t>(text_.size()));
}

std::string DocumentHandle::refused_slot(const std::string& session, const std::string& path) {
  return fmt::format("{}\nrefused {}", session, path);
}

void DocumentHandle::read(Request& request, off_t offset, std::size_t count,
                          Completion<Bytes> done) {
  done.complete([&]() -> Result<Bytes> {
    TRY(file_->alive(request));
    Lock lock(mutex_);
    const auto at = static_cast<std::size_t>(offset);
    if (at >= text_.size()) return Bytes{};
    return Bytes{.text = text_.substr(at, count)};
  }());
}

void DocumentHandle::write(Request& request, off_t offset, std::string_view bytes,
                           Completion<std::size_t> done) {
  const Status added = add(request, offset, bytes);
  if (added) return done.complete(bytes.size());
  done.complete(std::unexpected(noted(file_->context(), request, file_->path(), added.error())));
}

Status DocumentHandle::add(Request& request, off_t offset, std::string_view bytes) {
  TRY(file_->alive(request));
  const auto at = static_cast<std::size_t>(offset);
  Lock lock(mutex_);
  if (at > kLargest || bytes.size() > kLargest - at) {
    too_long_ = true;
    return too_long();
  }
  if (!author_) return std::unexpected(author_.error());
  if (at + bytes.size() > text_.size()) text_.resize(at + bytes.size());
  text_.replace(at, bytes.size(), bytes);
  written_ = true;
  truncated_ = false;
  node_->show_size(static_cast<std::int64_t>(text_.size()));
  return ok();
}

std::unexpected<Error> DocumentHandle::too_long() const {
  return fail(EMSGSIZE, "{}: a document of more than {} bytes", file_->path(), kLargest);
}

// Not a change by itself: what follows it is, or the last close.
void DocumentHandle::resize(std::size_t size) {
  Lock lock(mutex_);
  text_.resize(size);
  truncated_ = !written_;
  cut_at_ = file_->context().saves.now();
  if (size == 0) too_long_ = false;
  node_->show_size(static_cast<std::int64_t>(size));
}

// Compared with what the document is now: another may have saved since this one was opened.
Status DocumentHandle::save(std::optional<std::uint64_t> cut_at) {
  std::string text;
  Result<Caller> author = Caller();
  {
    Lock lock(mutex_);
    text = text_;
    author = author_;
    written_ = truncated_ = false;
  }
  if (!author) return std::unexpected(author.error());
  Context& context = file_->context();
  Status saved = [&]() -> Status {
    const Lock alone(context.saves.saving());
    if (cut_at && context.saves.was_saved_after(file_->path(), *cut_at)) return ok();
    const auto now = file_->current(*author);
    const bool unchanged = !is_new_ && now && text_content(text)->same_as(**now);
    if (!unchanged) TRY(save_document(context, file_->place(), *author, text));
    context.saves.saved(file_->path());
    return ok();
  }();
  if (saved && is_new_) context.replies.put(refused_slot(session_, file_->path()), {});
  if (saved) return saved;
  context.services.note_error(*author, file_->path(), saved.error());
  if (is_new_) context.replies.put(refused_slot(session_, file_->path()), std::move(text));
  return saved;
}

// A shell closes a copy before it has written anything: that is not the end of the text.
Status DocumentHandle::flush(Request& request) {
  if (request.host().pid != opener_) return ok();
  {
    Lock lock(mutex_);
    if (too_long_) return too_long();
    if (!written_) return ok();
  }
  return save();
}

Status DocumentHandle::fsync(Request& request, bool) {
  TRY(flush(request));
  return file_->context().services.sync();
}

// Comes some time after close(2): who has saved a text meanwhile did so after this one was cut.
void DocumentHandle::release() {
  std::optional<std::uint64_t> cut_at;
  {
    Lock lock(mutex_);
    if (too_long_ || (!written_ && !truncated_)) return;
    if (!written_) cut_at = cut_at_;
  }
  static_cast<void>(save(cut_at));
}

}  // namespace agentfs::vfs
