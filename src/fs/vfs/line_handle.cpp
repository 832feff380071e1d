// SPDX-License-Identifier: MIT
#include "fs/vfs/line_handle.h"

#include <fcntl.h>

#include "base/text.h"
#include "fs/vfs/descriptors.h"
#include "fs/vfs/wait_for.h"
#include "fs/vfs/written_text.h"

namespace agentfs::vfs {

void ReplyText::refuse() {
  if (!own_) text_ = text_content({});
}

void ReplyText::replace(std::string text) {
  own_ = true;
  text_ = text_content(std::move(text));
  origin_.reset();
}

std::pair<ContentRef, std::uint64_t> ReplyText::place(off_t offset) {
  if (!origin_ || offset < *origin_) origin_ = offset;
  return {text_, static_cast<std::uint64_t>(offset - *origin_)};
}

// An appending descriptor's offsets are the host kernel's guess at a size that does not grow.
LineHandle::LineHandle(RowFileRef file, Request& request, int flags, ContentRef snapshot)
    : file_(std::move(file)),
      tree_(file_->context(), file_->place()),
      slot_(file_->slot(request)),
      opener_(request),
      write_only_((flags & O_ACCMODE) == O_WRONLY),
      snapshot_(snapshot),
      buffer_(write_only_ && (flags & O_APPEND) == 0),
      reply_(std::move(snapshot)) {}

void LineHandle::note(const Caller& author, const Error& error) const {
  file_->context().services.note_error(author, file_->path(), error);
}

void LineHandle::read(Request& request, off_t offset, std::size_t count, Completion<Bytes> done) {
  done.complete([&]() -> Result<Bytes> {
    TRY(file_->alive(request));
    ContentRef text;
    std::uint64_t at = 0;
    {
      Lock lock(mutex_);
      std::tie(text, at) = reply_.place(offset);
    }
    return Bytes{.text = TRY(text->read(at, count))};
  }());
}

void LineHandle::write(Request& request, off_t offset, std::string_view bytes,
                       Completion<std::size_t> done) {
  const Write write{offset, bytes.size(), request.host().pid};
  auto lines = [&]() -> Result<Lines> {
    TRY(opener_.check(request, file_->path()));
    TRY(file_->alive(request));
    Lock lock(mutex_);
    // A text that was read and is written back changes nothing.
    const bool same =
        std::exchange(untouched_, false) && file_->place().info().kind == Kind::reply &&
        bytes.size() == snapshot_->size() && text_content(std::string(bytes))->same_as(*snapshot_);
    if (same) return Lines();
    Lines added = TRY(buffer_.add(offset, bytes));
    const bool has_comments = file_->place().info().kind != Kind::setting;
    if (has_comments) std::erase_if(added, [](const auto& line) { return !is_command(line); });
    return added;
  }();
  if (!lines) {
    Error error = noted(file_->context(), request, file_->path(), std::move(lines).error());
    return done.complete(std::unexpected(std::move(error)));
  }
  execute(request, write, *std::move(lines), std::move(done));
}

void LineHandle::execute(Request& request, Write write, Lines lines, Completion<std::size_t> done) {
  auto writer = request.writer();
  if (!writer) return done.complete(std::unexpected(std::move(writer).error()));
  Caller author = *std::move(writer);
  author.path = file_->path();
  {
    Lock lock(mutex_);
    author_ = author;
  }
  if (lines.empty()) {
    Lock lock(mutex_);
    buffer_.accept(write.offset, write.count);
    reply_.rewind();
    lock.unlock();
    return done.complete(write.count);
  }
  const Completion<std::string> ran(
      [self = shared_from_this(), write, author, done](Result<std::string> reply) {
        self->finished(write, author, reply);
        if (!reply) return done.complete(std::unexpected(std::move(reply).error()));
        done.complete(write.count);
      });
  done.on_cancel([ran] { ran.cancel(); });
  run(std::move(author), std::move(lines), ran);
}

// A failed write leaves the reply that was there, and nothing of its own text.
void LineHandle::finished(const Write& write, const Caller& author, Result<std::string>& reply) {
  if (write.group != 0) file_->context().versions.unpin_all(write.group);
  {
    Lock lock(mutex_);
    if (reply) {
      reply_.replace(*std::move(reply));
      buffer_.accept(write.offset, write.count);
    } else {
      buffer_.take_rest();
      if (file_->place().info().kind == Kind::reply) reply_.refuse();
    }
  }
  if (!reply) note(author, reply.error());
}

Status LineHandle::flush(Request& request) {
  return wait_for<Nothing>([&](Completion<Nothing> done) { start_flush(request, done); });
}

// Other processes close their copies too, in the middle of a line: only the opener's close counts,
// when it keeps no copy, and only where nobody reads the reply from this descriptor.
void LineHandle::start_flush(Request& request, Completion<Nothing> done) {
  if (!write_only_ || !opener_.closes(request)) return done.complete(ok());
  if (is_being_killed(opener_.process())) return done.complete(ok());
  std::string rest;
  {
    Lock lock(mutex_);
    closed_by_opener_ = true;
    if (buffer_.empty()) return done.complete(ok());
  }
  if (!has_descriptor(opener_.process(), file_->path())) {
    Lock lock(mutex_);
    rest = buffer_.take_rest();
  }
  if (rest.empty()) return done.complete(ok());
  const Completion<std::size_t> ran([done](Result<std::size_t> count) {
    if (!count) return done.complete(std::unexpected(std::move(count).error()));
    done.complete(ok());
  });
  done.on_cancel([ran] { ran.cancel(); });
  Lines lines;
  lines.push_back(std::move(rest));
  execute(request, {-1, 0, request.host().pid}, std::move(lines), ran);
}

// What its opener wrote through one copy and closed by another still runs; its errors are noted.
void LineHandle::release() {
  std::string rest;
  std::optional<Caller> author;
  bool closed_by_opener = false;
  {
    Lock lock(mutex_);
    rest = buffer_.take_rest();
    author = author_;
    closed_by_opener = closed_by_opener_;
  }
  if (rest.empty() || !author) return;
  if (closed_by_opener) {
    return run(
        *author, {std::move(rest)},
        Completion<std::string>([self = shared_from_this(), author](Result<std::string> reply) {
          self->finished({-1, 0, 0}, *author, reply);
        }));
  }
  note(*author, {EINVAL, fmt::format("{}: dropped, it had no newline at the last close; a whole "
                                     "line would do",
                                     text::shown(rest))});
}

}  // namespace agentfs::vfs
