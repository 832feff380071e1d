// SPDX-License-Identifier: MIT
// A descriptor whose written lines are executed, and whose reads give what came of it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "fs/vfs/line_buffer.h"
#include "fs/vfs/row_file.h"
#include "fs/vfs/sole_writer.h"

namespace agentfs::vfs {

// The text that reads of a descriptor get. The offset of the first read after a write is its byte
// 0, since a shell's offset has moved by what it wrote; a read before that is a new origin.
class ReplyText {
 public:
  explicit ReplyText(ContentRef snapshot) : text_(std::move(snapshot)), origin_(0) {}
  void replace(std::string text);
  // A request was refused: what it finds here is the reply to one of its own before, or nothing,
  // never the reply that another descriptor got.
  void refuse();
  void rewind() { origin_.reset(); }  // something was written that has no reply
  // Where in which text a read at `offset` begins.
  std::pair<ContentRef, std::uint64_t> place(off_t offset);

 private:
  ContentRef text_;
  std::optional<off_t> origin_;
  bool own_ = false;
};

// Control, setting and reply files, open for writing. Threads: all; lines of one write run in
// order, stopped at the first failure. Nothing is executed under the lock.
class LineHandle : public Handle, public std::enable_shared_from_this<LineHandle> {
 public:
  LineHandle(RowFileRef file, Request& request, int flags, ContentRef snapshot);

  void read(Request& request, off_t offset, std::size_t count, Completion<Bytes> done) override;
  void write(Request& request, off_t offset, std::string_view bytes,
             Completion<std::size_t> done) override;
  Status flush(Request& request) override;
  void start_flush(Request& request, Completion<Nothing> done) override;
  void release() override;
  Status fsync(Request&, bool) override { return file_->context().services.sync(); }

 protected:
  using Lines = std::vector<std::string>;
  // Executes lines; the result is what reads get then. `author` is who wrote them.
  virtual void run(Caller author, Lines lines, Completion<std::string> done) = 0;

  const RowFile& file() const { return *file_; }
  const std::string& slot() const { return slot_; }
  Status check_tree() const { return tree_.check(file_->context(), file_->place()); }
  void note(const Caller& author, const Error& error) const;

 private:
  struct Write {
    off_t offset = 0;
    std::size_t count = 0;
    pid_t group = 0;
  };
  void execute(Request& request, Write write, Lines lines, Completion<std::size_t> done);
  void finished(const Write& write, const Caller& author, Result<std::string>& reply);

  const RowFileRef file_;
  const NamedTree tree_;
  const std::string slot_;
  const SoleWriter opener_;
  const bool write_only_;
  const ContentRef snapshot_;
  Mutex<Rank::handle> mutex_;
  LineBuffer buffer_ GUARDED_BY(mutex_);
  ReplyText reply_ GUARDED_BY(mutex_);
  std::optional<Caller> author_ GUARDED_BY(mutex_);  // of the last write
  bool untouched_ GUARDED_BY(mutex_) = true;
  bool closed_by_opener_ GUARDED_BY(mutex_) = false;  // a copy; it may keep others
};

}  // namespace agentfs::vfs
