// SPDX-License-Identifier: MIT
// Open files and directories of a data tree. Inside vfs only.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "fs/vfs/charge.h"
#include "fs/vfs/data_file.h"

namespace agentfs::vfs {

class DataGuard;

// An open file of a data tree. Threads: all.
class DataHandle final : public Handle, public std::enable_shared_from_this<DataHandle> {
 public:
  DataHandle(std::shared_ptr<DataNode> node, std::unique_ptr<TreeFile> file, Caller writer,
             bool writable);
  ~DataHandle() override { DataHandle::leave_past(); }
  // Known to the tree while it was made, it can be had from there once it is whole. What it
  // publishes is published with the first close of a descriptor by the process that has opened it:
  // one that it has forked closes its own, as it executes a program.
  void begin(Publication publication = {}) EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    publisher_ = publication.process;
    publishing_ = std::move(publication.hold);
    has_begun_ = true;
  }
  std::shared_ptr<DataHandle> alive() { return has_begun_ ? weak_from_this().lock() : nullptr; }
  // What is written by it belongs to that, by whichever thread: no condition waits for it.
  bool is_publishing() const { return publisher_ != 0; }
  const TreeFile& file() const { return *file_; }
  int descriptor() const override { return file_->descriptor(); }
  int backing() const override { return node_->type() == S_IFREG ? descriptor() : -1; }
  bool may_bypass() const override { return may_bypass_; }
  bool enter_past() override;
  void leave_past() override;  // is not counted any more
  void bypass(int flags) override;
  bool bypassed() const override { return bypassed_; }
  bool would_lose(int flags) const override;
  void read(Request&, off_t offset, std::size_t count, Completion<Bytes> done) override;
  void write(Request&, off_t offset, std::string_view bytes, Completion<std::size_t> done) override;
  Status flush(Request&) override;
  void release() override;
  void abandon() override;
  Status fsync(Request&, bool data_only) override;
  Status allocate(Request&, int mode, off_t offset, off_t length) override;
  Result<off_t> seek(Request&, off_t offset, int whence) override;
  Result<std::size_t> copy_range(Request&, off_t from, Handle& target, off_t to,
                                 std::size_t count) override;
  Status read_directory(Request&, off_t offset, const EmitItem& each) override;

  // By a way that is told by itself, such as ftruncate(2).
  void note_changed() { unclosed_ = true; }
  // Before bytes from `offset` on are overwritten, cut off or punched out, by whatever way.
  Status before_write(off_t offset);
  WriteKeeper& keeper() { return *keeper_; }
  std::shared_ptr<WriteKeeper> shared_keeper() EXCLUDES(mutex_) {  // for who has not opened it
    Lock lock(mutex_);
    return keeper_;
  }
  // The journal row of the bytes written since the last one; the last time at its release.
  Status account(bool is_release = false);

 private:
  void end_publishing() EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    publisher_ = 0;
    publishing_.reset();
  }
  Result<Bytes> read_lent(off_t offset, std::size_t count);
  Result<std::size_t> copy_lent(Request& request, off_t from, DataHandle& target, off_t to,
                                std::size_t count);
  Result<std::size_t> put(Request& request, off_t asked, std::string_view bytes);
  off_t place_of(const Request& request, off_t asked) const;
  // Changes bytes by a system call, `name`; gives what it gives.
  template <class Call>
  Result<long> change(Request& request, const char* name, Call&& call);
  template <class Call>
  Result<long> change_once(Request& request, const char* name, Call&& call);
  void changed(std::uint64_t bytes);
  // Until it is told: what a daemon that dies has not told, the next one does.
  void note_untold();
  // While it lives bytes may have changed that changed() does not tell of yet.
  class Untold {
   public:
    explicit Untold(DataHandle& handle) : handle_(handle) {
      ++handle_.untold_;
      handle_.note_untold();
    }
    ~Untold() { --handle_.untold_; }
    Untold(const Untold&) = delete;
    Untold& operator=(const Untold&) = delete;

   private:
    DataHandle& handle_;
  };
  // A descriptor may have been passed on: what comes is told of who writes now.
  // The guard is done() once something was written.
  Status attribute(Request& request, DataGuard& guard);
  Status tell_changed(bool is_release);
  void changed_past(bool is_release);  // what was written past the daemon since it was looked at
  // Before bytes from `offset` on go that another open of the file has written and closed.
  Status end_state(off_t offset);
  void judge_kept();  // at the end of one that was not past the daemon

  std::shared_ptr<DataNode> node_;
  std::atomic<bool> has_begun_ = false;  // before what makes it known
  const OpenCount open_;                 // ends when the descriptor has
  std::unique_ptr<TreeFile> file_;
  bool writable_;
  const bool may_bypass_;
  // Thread of the host and user, which it may change: of the last that wrote, as far as is known.
  std::atomic<std::uint64_t> wrote_last_;
  // With all others that write the file past the daemon where this one does.
  std::shared_ptr<WriteKeeper> keeper_ = std::make_shared<WriteKeeper>();
  std::atomic<bool> bypassed_ = false;
  bool appends_past_ = false;  // and nothing else; set before that
  std::atomic<bool> is_counted_ = false;
  Mutex<Rank::handle> mutex_;
  std::atomic<pid_t> publisher_ = 0;  // as of Publication
  Hold publishing_ GUARDED_BY(mutex_);
  // Who wrote last, at first who opened it: kept, since a release comes without one.
  Caller writer_ GUARDED_BY(mutex_);
  std::uint64_t bytes_ GUARDED_BY(mutex_) = 0;
  bool changed_ GUARDED_BY(mutex_) = false;
  std::atomic<bool> unclosed_ = false;  // changed the file since a descriptor of it was closed
  std::atomic<bool> noted_ = false;
  std::atomic<unsigned> untold_ = 0;
  unsigned writers_ GUARDED_BY(mutex_) = 1;  // that may have written those bytes
};

}  // namespace agentfs::vfs
