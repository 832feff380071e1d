// SPDX-License-Identifier: MIT
#include "backends/segments/segments.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <optional>

#include "backends/segments/segment_files.h"
#include "base/file.h"
#include "base/mutex.h"
#include "base/reserve.h"
#include "base/text.h"

namespace agentfs {
namespace {

class SegmentLog final : public LogStore {
 public:
  explicit SegmentLog(std::string directory)
      : directory_(std::move(directory)), reserve_(directory_ + "/reserve") {}

  Status open(bool look_only) EXCLUDES(mutex_);
  Status append(std::string_view lines) override EXCLUDES(mutex_);
  Status append_urgent(std::string_view lines) override EXCLUDES(mutex_);
  Status check_room(bool makes_room) override EXCLUDES(mutex_);
  Status sync() override EXCLUDES(mutex_);
  Status roll(std::uint64_t first_sequence) override EXCLUDES(mutex_);
  std::vector<SegmentInfo> segments() const override EXCLUDES(mutex_);
  Result<std::string> read(std::string_view segment, std::uint64_t offset,
                           std::uint64_t limit) const override EXCLUDES(mutex_);

 private:
  // What one sync has to do, taken under the lock and done without it.
  struct Pending {
    std::shared_ptr<UniqueFd> file;  // null: no bytes to sync
    bool directory = false;
    std::uint64_t written = 0;  // counts that a success brings the log's synced ones to
    std::uint64_t made = 0;
  };

  Status open_last(int flags) REQUIRES(mutex_);
  Status start(std::uint64_t first_sequence) REQUIRES(mutex_);
  Status put(std::string_view lines) REQUIRES(mutex_);
  Status cut() REQUIRES(mutex_);
  void fill_reserve() REQUIRES(mutex_);
  // Blocks behind the last line that nobody else can take; whether there was room.
  bool hold(off_t bytes) REQUIRES(mutex_);
  Status flush(const Pending& pending) const;
  Pending pending() const REQUIRES(mutex_);
  Status finish(const Pending& pending, Status result) REQUIRES(mutex_);
  Result<SegmentInfo> find(std::string_view segment) const EXCLUDES(mutex_);

  const std::string directory_;
  mutable Mutex<Rank::store> mutex_;
  std::vector<SegmentInfo> segments_ GUARDED_BY(mutex_);
  std::shared_ptr<UniqueFd> file_ GUARDED_BY(mutex_);  // of the last segment; null when none is
  bool half_written_ GUARDED_BY(mutex_) = false;       // bytes lie beyond the last segment's size
  // What an earlier daemon may have left unsynced counts as one byte and one segment.
  std::uint64_t written_ GUARDED_BY(mutex_) = 1;      // bytes appended
  std::uint64_t synced_ GUARDED_BY(mutex_) = 0;       // how many of them a sync has covered
  std::uint64_t made_ GUARDED_BY(mutex_) = 1;         // segments made
  std::uint64_t made_synced_ GUARDED_BY(mutex_) = 0;  // those whose names a sync has covered
  std::optional<Error> lost_ GUARDED_BY(mutex_);      // of the first sync that failed
  Reserve reserve_ GUARDED_BY(mutex_);
  std::atomic<bool> has_room_ = true;  // as the reserve was last seen
};

Status SegmentLog::open(bool look_only) {
  TRY(file::make_directories(directory_, 0700));
  const Lock lock(mutex_);
  segments_ = TRY(segments::find_segments(directory_, look_only));
  if (!look_only) fill_reserve();
  return segments_.empty() ? ok() : open_last(0);
}

Status SegmentLog::open_last(int flags) {
  const std::string& path = segments_.back().host_path;
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | flags, 0600));
  if (!fd) return fail_errno(path);
  file_ = std::make_shared<UniqueFd>(std::move(fd));
  return ok();
}

Status SegmentLog::append(std::string_view lines) {
  const Lock lock(mutex_);
  TRY(put(lines));
  fill_reserve();
  return ok();
}

Status SegmentLog::append_urgent(std::string_view lines) {
  const Lock lock(mutex_);
  auto done = put(lines);
  while (!done && Reserve::is_full(done.error().code)) {
    has_room_ = false;  // before others could take what is given up for this line
    if (!reserve_.release(lines.size())) break;
    hold(Reserve::kPiece);
    done = put(lines);
  }
  if (!has_room_) fill_reserve();
  return done;
}

void SegmentLog::fill_reserve() {
  reserve_.fill();
  has_room_ = reserve_.is_ample();
}

bool SegmentLog::hold(off_t bytes) {
  const auto end = static_cast<off_t>(segments_.empty() ? 0 : segments_.back().size);
  return file_ && ::fallocate(file_->get(), FALLOC_FL_KEEP_SIZE, end, bytes) == 0;
}

Status SegmentLog::check_room(bool makes_room) {
  if (has_room_) return ok();
  const Lock lock(mutex_);
  fill_reserve();
  if (has_room_ || (makes_room && !reserve_.is_low())) return ok();
  // Where nothing was ever kept back, a line may fit all the same.
  constexpr off_t kLine = 4096;
  if (makes_room && hold(kLine)) return ok();
  return fail(
      ENOSPC,
      "{}: the disk is full, and what is kept back for the journal is for what makes room: {}",
      directory_,
      makes_room ? "`discard` of checkpoints and forks, which may hold what was removed"
                 : "removing files, `drop` and `discard`");
}

Status SegmentLog::put(std::string_view lines) {
  if (lines.empty()) return ok();
  if (!lines.ends_with('\n')) {
    return fail(EINVAL, "log: the last line is not ended ({}); every line ends with a newline",
                text::shown(text::suffix(lines, 40)));
  }
  if (half_written_) TRY(cut());
  if (!file_) TRY(start(1));
  const auto written = file::write_all(file_->get(), lines);
  if (!written) {
    half_written_ = true;
    const std::string path = segments_.back().host_path;
    if (const auto undone = cut(); !undone) {
      return fail(written.error().code, "{}: {}, nor could it be undone ({})", path,
                  written.error().message, undone.error().message);
    }
    return fail(written.error().code, "{}: {}", path, written.error().message);
  }
  segments_.back().size += lines.size();
  written_ += lines.size();
  return ok();
}

Status SegmentLog::cut() {
  const SegmentInfo& last = segments_.back();
  if (::ftruncate(file_->get(), static_cast<off_t>(last.size)) != 0) {
    return fail_errno(last.host_path);
  }
  half_written_ = false;
  return ok();
}

Status SegmentLog::start(std::uint64_t first_sequence) {
  const std::string name = segments::segment_name(first_sequence);
  segments_.push_back({.name = name, .host_path = directory_ + "/" + name});
  const auto opened = open_last(O_CREAT | O_EXCL);
  if (!opened) {
    segments_.pop_back();
    return opened;
  }
  ++made_;
  return ok();
}

Status SegmentLog::roll(std::uint64_t first_sequence) {
  const Lock lock(mutex_);
  if (half_written_) TRY(cut());
  const std::uint64_t last =
      segments_.empty() ? 0 : segments::first_sequence_of(segments_.back().name).value_or(0);
  if (first_sequence == last && last != 0 && segments_.back().size == 0) return ok();
  if (first_sequence <= last) {
    return fail(EINVAL, "log: a segment cannot begin at {}; it must be beyond {}", first_sequence,
                last);
  }
  // Before its file is let go: later syncs cover the new segment only.
  const Pending work = pending();
  TRY(finish(work, flush(work)));
  return start(first_sequence);
}

SegmentLog::Pending SegmentLog::pending() const {
  return {.file = written_ > synced_ ? file_ : nullptr,
          .directory = made_ > made_synced_,
          .written = written_,
          .made = made_};
}

Status SegmentLog::flush(const Pending& pending) const {
  if (pending.file && ::fdatasync(pending.file->get()) != 0) return fail_errno(directory_);
  if (pending.directory) return segments::sync_directory(directory_);
  return ok();
}

Status SegmentLog::finish(const Pending& pending, Status result) {
  if (!lost_ && !result) lost_ = result.error();
  if (lost_) {
    return fail(lost_->code, "{} (when the log was synced; it must be opened again)",
                lost_->message);
  }
  synced_ = std::max(synced_, pending.written);
  made_synced_ = std::max(made_synced_, pending.made);
  return ok();
}

Status SegmentLog::sync() {
  Pending work;
  {
    const Lock lock(mutex_);
    work = pending();
  }
  auto result = flush(work);
  const Lock lock(mutex_);
  return finish(work, std::move(result));
}

std::vector<SegmentInfo> SegmentLog::segments() const {
  const Lock lock(mutex_);
  return segments_;
}

Result<SegmentInfo> SegmentLog::find(std::string_view segment) const {
  const Lock lock(mutex_);
  const auto found = std::ranges::find(segments_, segment, &SegmentInfo::name);
  if (found == segments_.end()) {
    return fail(ENOENT, "log: no segment {}; there are {}", text::shown(segment), segments_.size());
  }
  return *found;
}

Result<std::string> SegmentLog::read(std::string_view segment, std::uint64_t offset,
                                     std::uint64_t limit) const {
  const SegmentInfo found = TRY(find(segment));
  if (offset > found.size) {
    return fail(EINVAL, "{}: offset {} lies beyond the end ({})", found.name, offset, found.size);
  }
  const std::uint64_t rest = found.size - offset;
  const std::uint64_t wanted = limit == 0 ? rest : std::min(limit, rest);
  std::string bytes = TRY(segments::read_range(found.host_path, offset, wanted));
  const auto newline = bytes.rfind('\n');
  if (newline == std::string::npos && wanted > 0) {
    return fail(EMSGSIZE, "{}: the line at {} is longer than the {} bytes asked for", found.name,
                offset, limit);
  }
  bytes.resize(bytes.empty() ? 0 : newline + 1);
  return bytes;
}

}  // namespace

Result<std::unique_ptr<LogStore>> open_segments(const std::string& directory, bool look_only) {
  auto log = std::make_unique<SegmentLog>(directory);
  TRY(log->open(look_only));
  return log;
}

}  // namespace agentfs
