// SPDX-License-Identifier: MIT
// A document, open for writing: the text is gathered and saved as a whole.
#pragma once

#include <optional>
#include <string>

#include "fs/vfs/document_node.h"

namespace agentfs::vfs {

// Saved when its opener closes it, or syncs it, with something changed; at the latest when the last
// copy of the descriptor is gone. What was only appended goes behind the text that there is then; a
// text that was cut to nothing first replaces it; any other is refused where another has saved
// since (ESTALE). A text that is refused leaves the document as it was; a new one is not there
// then, but what the same session appends to its name goes behind the text that was refused: so a
// document can be written by one echo after the other. Threads: all.
class DocumentHandle final : public Handle {
 public:
  static constexpr std::size_t kLargest = 1U << 20U;
  struct Start {
    std::optional<std::string> base{};  // what there is; nothing: no such document
    std::string text{};
    bool truncated = false;  // before anything was written
    bool is_new = false;
  };

  DocumentHandle(DocumentFileRef file, Request& request, VersionRef node, Start start);
  // Where the text of a new document that was refused is kept among the replies of a session.
  static std::string refused_slot(const std::string& session, const std::string& path);

  void read(Request& request, off_t offset, std::size_t count, Completion<Bytes> done) override;
  void write(Request& request, off_t offset, std::string_view bytes,
             Completion<std::size_t> done) override;
  Status flush(Request& request) override;
  void release() override;
  Status fsync(Request& request, bool data_only) override;
  void resize(std::size_t size);

 private:
  // How the text became what it is, and from what.
  struct Origin {
    std::optional<std::string> base{};  // what there was at the open, or the last save
    std::size_t kept = 0;               // what is behind that was appended,
    bool appended = true;               // and nothing else was done since
    bool replaces = false;              // cut to nothing: on purpose, whatever there was
  };
  struct Change {
    bool is_one = false;
    Caller author{};
    std::string text{};
    Origin origin{};
  };

  Status add(Request& request, off_t offset, std::string_view bytes);
  // Saves what has changed since the last time; with `cut_at`, unless another has saved after that.
  Status save(std::optional<std::uint64_t> cut_at = {});
  Status save_change(const Change& change);
  Result<Change> take_change();
  Result<std::string> text_over(const Change& change, const std::optional<std::string>& now) const;
  void saved(const Change& change, std::string text);
  void refused(const Change& change);
  std::unexpected<Error> too_long() const;

  const DocumentFileRef file_;
  const VersionRef node_;
  const pid_t opener_;
  const std::string session_;
  const bool is_new_;
  Mutex<Rank::handle> mutex_;
  Result<Caller> author_ GUARDED_BY(mutex_);
  std::string text_ GUARDED_BY(mutex_);
  Origin origin_ GUARDED_BY(mutex_);
  bool written_ GUARDED_BY(mutex_) = false;      // since it was saved
  bool truncated_ GUARDED_BY(mutex_) = false;    // and nothing was written or saved yet
  std::uint64_t cut_at_ GUARDED_BY(mutex_) = 0;  // when that was (fs/vfs/save_order.h)
  bool too_long_ GUARDED_BY(mutex_) = false;     // a write was refused: the rest is half a text
};

}  // namespace agentfs::vfs
