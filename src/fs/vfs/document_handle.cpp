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
      origin_({.base = std::move(start.base),
               .kept = text_.size(),
               .appended = !start.truncated,
               .replaces = start.truncated}),
      truncated_(start.truncated || start.is_new),
      cut_at_(file_->context().saves.now()) {
  node_->show_size(static_cast<std::int64_t>(text_.size()));
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
  Lock lock(mutex_);
  // The host's kernel may have another size in mind than the text has, which was read at the open.
  const std::size_t at = request.appends() ? text_.size() : static_cast<std::size_t>(offset);
  if (at > kLargest || bytes.size() > kLargest - at) {
    too_long_ = true;
    return too_long();
  }
  if (!author_) return std::unexpected(author_.error());
  if (at + bytes.size() > text_.size()) text_.resize(at + bytes.size());
  text_.replace(at, bytes.size(), bytes);
  origin_.appended = origin_.appended && request.appends();
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
  origin_.appended = false;
  origin_.replaces = origin_.replaces || size == 0;
  truncated_ = !written_;
  cut_at_ = file_->context().saves.now();
  if (size == 0) too_long_ = false;
  node_->show_size(static_cast<std::int64_t>(size));
}

Result<DocumentHandle::Change> DocumentHandle::take_change() {
  Lock lock(mutex_);
  if (!author_) return std::unexpected(author_.error());
  Change change{
      .is_one = written_ || truncated_, .author = *author_, .text = text_, .origin = origin_};
  written_ = truncated_ = false;
  origin_.kept = text_.size();
  origin_.appended = true;
  origin_.replaces = false;
  return change;
}

// What is to be there: the change over what there is now, which another may have saved.
Result<std::string> DocumentHandle::text_over(const Change& change,
                                              const std::optional<std::string>& now) const {
  const auto& [base, kept, appended, replaces] = change.origin;
  if (appended && !now && base) {
    return fail(ESTALE, "{}: was removed since it was opened; what was added is not saved",
                file_->path());
  }
  if (appended) {
    const bool is_whole = !now && !base;  // behind a new text that was refused
    std::string text = now.value_or("") + (is_whole ? change.text : change.text.substr(kept));
    if (text.size() > kLargest) return too_long();
    return text;
  }
  if (replaces || !now || now == base) return change.text;
  return fail(ESTALE,
              "{}: another has saved it since it was opened, and what was written over the text "
              "of then is not saved; opened again, it can be written (O_APPEND adds to it, "
              "O_TRUNC replaces it)",
              file_->path());
}

void DocumentHandle::saved(const Change& change, std::string text) {
  Lock lock(mutex_);
  if (change.origin.appended) {
    if (!origin_.appended) {  // written over in place meanwhile: of the text before this one
      if (text == change.text) origin_.base = std::move(text);
      return;
    }
    text_.replace(0, change.text.size(), text);
    origin_.kept = text.size();
    node_->show_size(static_cast<std::int64_t>(text_.size()));
  }
  origin_.base = std::move(text);
}

void DocumentHandle::refused(const Change& change) {
  Lock lock(mutex_);
  origin_.kept = change.origin.kept;
  origin_.appended = origin_.appended && change.origin.appended;
  origin_.replaces = origin_.replaces || change.origin.replaces;
}

// Under the lock of the saves, so that nothing is saved between the look at what there is and this.
Status DocumentHandle::save_change(const Change& change) {
  Context& context = file_->context();
  const std::optional<std::string> now = TRY(file_->current_text(change.author));
  std::string text = TRY(text_over(change, now));
  const bool unchanged = !is_new_ && now == text;
  if (!unchanged) TRY(save_document(context, file_->place(), change.author, text));
  context.saves.saved(file_->path());
  saved(change, std::move(text));
  return ok();
}

Status DocumentHandle::save(std::optional<std::uint64_t> cut_at) {
  Context& context = file_->context();
  Change change;
  const Status done = [&]() -> Status {
    const Lock alone(context.saves.saving());
    change = TRY(take_change());
    if (!change.is_one) return ok();
    if (cut_at && context.saves.was_saved_after(file_->path(), *cut_at)) return ok();
    return save_change(change);
  }();
  if (done && is_new_) context.replies.put(refused_slot(session_, file_->path()), {});
  if (done || !change.is_one) return done;
  refused(change);
  context.services.note_error(change.author, file_->path(), done.error());
  if (is_new_) context.replies.put(refused_slot(session_, file_->path()), std::move(change.text));
  return done;
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
