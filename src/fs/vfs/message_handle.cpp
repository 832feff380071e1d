// SPDX-License-Identifier: MIT
#include "fs/vfs/message_handle.h"

#include <fcntl.h>

#include <algorithm>

#include "base/text.h"
#include "fs/vfs/descriptors.h"
#include "fs/vfs/written_text.h"

namespace agentfs::vfs {
namespace {

// The text without a UTF-8 sequence at its end whose other bytes come with the next write.
std::string_view without_cut_sequence(std::string_view text) {
  const std::size_t limit = std::min<std::size_t>(text.size(), 4);
  for (std::size_t back = 1; back <= limit; ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xC0U) == 0x80U) continue;
    const std::size_t length = byte >= 0xF0U ? 4 : byte >= 0xE0U ? 3 : byte >= 0xC0U ? 2 : 1;
    return length > back ? text.substr(0, text.size() - back) : text;
  }
  return text;
}

}  // namespace

MessageHandle::MessageHandle(RowFileRef file, Request& request, int flags, ContentRef snapshot)
    : file_(std::move(file)),
      tree_(file_->context(), file_->place()),
      session_(session_of(request)),
      opener_(request),
      counted_((flags & O_ACCMODE) == O_WRONLY && (flags & O_APPEND) == 0),
      snapshot_(std::move(snapshot)) {}

void MessageHandle::read(Request& request, off_t offset, std::size_t count,
                         Completion<Bytes> done) {
  done.complete([&]() -> Result<Bytes> {
    TRY(file_->alive(request));
    return Bytes{.text = TRY(snapshot_->read(static_cast<std::uint64_t>(offset), count))};
  }());
}

void MessageHandle::write(Request& request, off_t offset, std::string_view bytes,
                          Completion<std::size_t> done) {
  const Status added = add(request, offset, bytes);
  if (added) return done.complete(bytes.size());
  {
    // A part of a message is none: nothing of this descriptor is delivered any more.
    Lock lock(mutex_);
    text_.clear();
    refused_ = true;
  }
  done.complete(std::unexpected(noted(file_->context(), request, file_->path(), added.error())));
}

Status MessageHandle::add(Request& request, off_t offset, std::string_view bytes) {
  TRY(opener_.check(request, file_->path()));
  Caller author = TRY(request.writer());
  author.path = file_->path();
  const RowPlace& place = file_->place();
  const ObjectRef object = TRY(place.held(author));
  TRY(place.type->writable(place.row, object, author));
  {
    Lock lock(mutex_);
    if (refused_) {
      return fail(EINVAL,
                  "{}: an earlier part of the message was refused; opening the file again "
                  "begins a new one",
                  file_->path());
    }
    TRY(check_place(offset, bytes));
    if (text_.empty()) begin_ = offset;
    text_ += bytes;
    expected_ = offset + static_cast<off_t>(bytes.size());
    author_ = std::move(author);
  }
  file_->context().undelivered.add(session_, parent_path(file_->path()), shared_from_this());
  return ok();
}

Status MessageHandle::check_place(off_t offset, std::string_view bytes) const {
  if (counted_ && expected_ >= 0 && offset != expected_) {
    return fail(EINVAL, "{}: written at offset {} after {} bytes; the next byte would do",
                file_->path(), offset, expected_);
  }
  if (text_.size() + bytes.size() > kLongest) {
    return fail(EMSGSIZE, "{}: a message of more than {} bytes", file_->path(), kLongest);
  }
  return check_text(file_->path(), without_cut_sequence(text_ + std::string(bytes)));
}

Status MessageHandle::flush(Request& request) {
  if (!opener_.closes(request)) return ok();
  bool is_empty = false;
  {
    Lock lock(mutex_);
    is_empty = text_.empty();
  }
  if (!is_empty && has_descriptor(opener_.process(), file_->path())) return ok();
  const Status delivered = deliver();
  if (request.host().pid != 0) file_->context().versions.unpin_all(request.host().pid);
  return delivered;
}

void MessageHandle::release() { static_cast<void>(deliver()); }

void MessageHandle::deliver_now() { static_cast<void>(deliver()); }

// An editor writes back all that it has read before what is new: only the new is the message.
Status MessageHandle::deliver() {
  std::string text;
  std::optional<Caller> author;
  bool from_start = false;
  {
    Lock lock(mutex_);
    text = std::exchange(text_, {});
    author = author_;
    from_start = begin_ == 0;
  }
  file_->context().undelivered.remove(session_, parent_path(file_->path()), this);
  if (text.empty() || !author) return ok();
  const std::size_t known = snapshot_->size();
  if (from_start && known > 0 && text.size() >= known &&
      text_content(text.substr(0, known))->same_as(*snapshot_)) {
    text.erase(0, known);
    if (text::trim(text).empty()) return ok();
  }
  const RowPlace& place = file_->place();
  auto delivered = [&]() -> Status {
    TRY(check_text(file_->path(), text));
    TRY(tree_.check(file_->context(), place));
    const ObjectRef object = TRY(place.held(*author));
    TRY(place.type->write(place.row, object, *author, text));
    return record_written(*file_, *author, text);
  }();
  if (!delivered) file_->context().services.note_error(*author, file_->path(), delivered.error());
  return delivered;
}

}  // namespace agentfs::vfs
