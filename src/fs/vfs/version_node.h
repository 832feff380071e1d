// SPDX-License-Identifier: MIT
// Generated files as nodes: one for each version of a content.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "fs/vfs/context.h"
#include "fs/vfs/table.h"

namespace agentfs::vfs {

class VersionNode;
using VersionRef = std::shared_ptr<VersionNode>;

// A file whose bytes are made when it is looked up. Immutable; threads: all.
class GeneratedFile : public std::enable_shared_from_this<GeneratedFile> {
 public:
  GeneratedFile(ContextRef context, std::string path, mode_t mode)
      : context_(std::move(context)), path_(std::move(path)), mode_(mode) {}
  virtual ~GeneratedFile() = default;

  Context& context() const { return *context_; }
  const ContextRef& context_ref() const { return context_; }
  const std::string& path() const { return path_; }
  mode_t mode() const { return mode_; }
  bool is_writable() const { return (mode_ & 0222U) != 0; }

  // The row, where the file is one.
  virtual const RowInfo* row() const { return nullptr; }
  // The bytes as they are now.
  virtual Result<ContentRef> render(Request& request) const = 0;
  // What versions are counted by: the path, and who reads where texts differ by that.
  virtual std::string identity(const Request&) const { return path_; }
  // Does each lookup get a node of its own? For files whose writers wait, since the host's kernel
  // lets one writer at a time into an inode.
  virtual bool is_private() const { return false; }
  virtual double entry_validity() const { return 0; }
  // ESRCH once the object that the file belongs to has gone.
  virtual Status alive(Request&) const { return ok(); }
  virtual Result<Opened> open_for_writing(Request& request, int flags,
                                          const VersionRef& node) const;
  // truncate(2) and ftruncate(2); ignored where a write is a command.
  virtual Status resize(Request&, VersionNode&, Handle*, off_t) const { return ok(); }
  // What is to be written over in place: as it is now, where it is a text that is saved whole.
  virtual Result<ContentRef> newest(Request&, const ContentRef& held) const { return held; }

 private:
  ContextRef context_;
  std::string path_;
  mode_t mode_;
};
using FileRef = std::shared_ptr<const GeneratedFile>;

// The lookup of a generated file: renders, and finds or makes the node of that version.
Result<Found> find_version(Request& request, const FileRef& file);

// The host's kernel keeps one size for a node, which a descriptor open for writing moves. So a node
// that somebody else may be reading is not opened for writing, nor truncated: ESTALE, on which the
// host's kernel looks the name up once more and is given a node of the same bytes for this thread
// group alone. Threads: all.
class VersionNode final : public Node {
 public:
  // `group`: who looked it up, 0 where that is unknown.
  VersionNode(FileRef file, ContentRef content, std::int64_t changed, pid_t group = 0)
      : file_(std::move(file)), content_(std::move(content)), changed_(changed), group_(group) {}

  mode_t type() const override { return S_IFREG; }
  std::string path() const override { return file_->path(); }
  Result<Attributes> attributes(Request&) override;
  Result<Attributes> set_attributes(Request& request, Handle* open,
                                    const SetAttributes& wanted) override;
  Result<Opened> open(Request& request, int flags) override;

  // Looked up by `group` as well.
  void share(pid_t group) {
    if (group == 0 || group != group_) is_shared_.store(true);
  }
  void count_reader(int change) { readers_.fetch_add(change); }

  const RowInfo* row() const { return file_->row(); }
  const ContentRef& content() const { return content_; }
  // The size that a descriptor open for writing has given the text; -1 without one.
  void show_size(std::int64_t size) { shown_size_.store(size); }

 private:
  // A node to change: this one, or another where others have this one too, or where its content is
  // not `newest`; ESTALE where the host's kernel is to come back with that.
  Result<VersionRef> own(Request& request, const ContentRef& newest);

  FileRef file_;
  ContentRef content_;
  std::int64_t changed_;
  const pid_t group_;
  std::atomic<bool> is_shared_ = false;
  // To be opened for writing, whatever the text is by then: what its size is, is asked each time.
  std::atomic<bool> is_offered_ = false;
  std::atomic<int> readers_ = 0;
  std::atomic<std::int64_t> shown_size_ = -1;
};

}  // namespace agentfs::vfs
