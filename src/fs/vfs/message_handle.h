// SPDX-License-Identifier: MIT
// Message files, open for writing: the text of one descriptor is one message.
#pragma once

#include <optional>
#include <string>

#include "fs/vfs/row_file.h"
#include "fs/vfs/sole_writer.h"
#include "fs/vfs/undelivered.h"

namespace agentfs::vfs {

// Delivered when its opener closes it with something new in it and keeps no copy, at the latest
// when the last copy of the descriptor is gone, or before its own session waits. Threads: all.
class MessageHandle final : public Handle,
                            public MessageSource,
                            public std::enable_shared_from_this<MessageHandle> {
 public:
  static constexpr std::size_t kLongest = 1U << 20U;

  MessageHandle(RowFileRef file, Request& request, int flags, ContentRef snapshot);

  void read(Request& request, off_t offset, std::size_t count, Completion<Bytes> done) override;
  void write(Request& request, off_t offset, std::string_view bytes,
             Completion<std::size_t> done) override;
  Status flush(Request& request) override;
  void release() override;
  void deliver_now() override;
  Status fsync(Request&, bool) override { return file_->context().services.sync(); }

 private:
  Status add(Request& request, off_t offset, std::string_view bytes);
  Status check_place(off_t offset, std::string_view bytes) const REQUIRES(mutex_);
  Status deliver();

  const RowFileRef file_;
  const NamedTree tree_;
  const std::string session_;
  const SoleWriter opener_;
  const bool counted_;
  const ContentRef snapshot_;
  Mutex<Rank::handle> mutex_;
  std::string text_ GUARDED_BY(mutex_);
  bool refused_ GUARDED_BY(mutex_) = false;  // a write failed: the rest is no message
  off_t begin_ GUARDED_BY(mutex_) = -1;      // offset of the first byte of `text_`
  off_t expected_ GUARDED_BY(mutex_) = -1;
  std::optional<Caller> author_ GUARDED_BY(mutex_);
};

}  // namespace agentfs::vfs
