// SPDX-License-Identifier: MIT
#include "backends/segments/segments.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <optional>

#include "backends/segments/segment_files.h"
#include "base/blocks.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/reserve.h"
#include "base/text.h"

namespace agentfs {
namespace {

constexpr std::size_t kMostOwed = std::size_t{256} << 10;  // bytes

bool is_full(const Status& done) { return !done && Reserve::is_full(done.error().code); }

class SegmentLog final : public LogStore {
 public:
  explicit SegmentLog(std::string directory)
      : directory_(std::move(directory)),
        moves_(!keeps_blocks(directory_)),
        reserve_(directory_ + "/reserve") {}

  ~SegmentLog() override {
    const Lock lock(mutex_);
    if (!pay()) log::error("{}: {} bytes of lines are lost: no room", directory_, owed_.size());
  }
  SegmentLog(const SegmentLog&) = delete;
  SegmentLog& operator=(const SegmentLog&) = delete;

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
  Status write(std::string_view lines) REQUIRES(mutex_);
  Status pay() REQUIRES(mutex_);  // writes what is owed
  Status cut() REQUIRES(mutex_);
  void fill_reserve() REQUIRES(mutex_);
  // Blocks behind the last line that nobody else can take; whether there was room.
  bool hold(off_t bytes) REQUIRES(mutex_);
  bool has_ahead(off_t bytes) const REQUIRES(mutex_);
  bool hold_ahead() REQUIRES(mutex_);  // as much as changes may begin with
  off_t end() const REQUIRES(mutex_) {
    return segments_.empty() ? 0 : static_cast<off_t>(segments_.back().size);
  }
  Status flush(const Pending& pending) const;
  Pending pending() const REQUIRES(mutex_);
  Status finish(const Pending& pending, Status result) REQUIRES(mutex_);
  Result<SegmentInfo> find(std::string_view segment) const EXCLUDES(mutex_);

  const std::string directory_;
  // On a disk that writes elsewhere what is written again, what the reserve gives up comes back
  // late, and the end of a file needs new room: there the room for lines lies ahead in the segment.
  const bool moves_;
  mutable Mutex<Rank::store> mutex_;
  std::vector<SegmentInfo> segments_ GUARDED_BY(mutex_);
  std::shared_ptr<UniqueFd> file_ GUARDED_BY(mutex_);  // of the last segment; null when none is
  // Lines of what has happened that such a disk has refused, whatever was kept for them: its own
  // tables may lack room, of which a removal gets more than a write. They come before all others.
  std::string owed_ GUARDED_BY(mutex_);
  off_t beyond_ GUARDED_BY(mutex_) = 0;   // bytes of a half-written line that lie behind the last
  off_t held_to_ GUARDED_BY(mutex_) = 0;  // in the last segment's file
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
  if (!segments_.empty()) TRY(open_last(0));
  if (!look_only) fill_reserve();
  return ok();
}

Status SegmentLog::open_last(int flags) {
  const std::string& path = segments_.back().host_path;
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC | flags, 0600));
  if (!fd || ::lseek(fd.get(), end(), SEEK_SET) < 0) return fail_errno(path);
  if (moves_ && (flags & O_CREAT) != 0) segments::write_in_place(fd.get());
  held_to_ = 0;
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
  while (is_full(done)) {
    has_room_ = false;  // before others could take what is given up for this line
    if (!reserve_.release(lines.size())) break;
    hold(Reserve::kPiece);
    done = put(lines);
  }
  if (is_full(done) && moves_ && owed_.size() + lines.size() <= kMostOwed) {
    log::warning("{}: the disk takes no line now ({}); it is written when it does", directory_,
                 done.error().message);
    owed_ += lines;
    done = ok();
  }
  if (!has_room_) fill_reserve();
  return done;
}

Status SegmentLog::pay() {
  if (owed_.empty()) return ok();
  TRY(write(owed_));
  owed_.clear();
  return ok();
}

void SegmentLog::fill_reserve() {
  reserve_.fill();
  const bool is_ahead = hold_ahead();
  has_room_ = pay() && reserve_.is_ample() && is_ahead;
}

bool SegmentLog::hold(off_t bytes) {
  if (!file_ || ::fallocate(file_->get(), FALLOC_FL_KEEP_SIZE, end(), bytes) != 0) return false;
  held_to_ = std::max(held_to_, end() + bytes);
  return true;
}

bool SegmentLog::has_ahead(off_t bytes) const {
  return !moves_ || !file_ || held_to_ >= end() + bytes;
}

bool SegmentLog::hold_ahead() { return has_ahead(Reserve::kFull / 2) || hold(Reserve::kFull); }

Status SegmentLog::check_room(bool makes_room) {
  if (has_room_) return ok();
  const Lock lock(mutex_);
  fill_reserve();
  const bool is_low =
      reserve_.is_low() || !has_ahead(Reserve::kFull / 8) || owed_.size() > kMostOwed / 2;
  if (has_room_ || (makes_room && !is_low)) return ok();
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
  TRY(pay());
  return write(lines);
}

Status SegmentLog::write(std::string_view lines) {
  if (beyond_ != 0) {
    // What is written over needs no cut.
    const Status undone = cut();
    if (!undone && static_cast<off_t>(lines.size()) < beyond_) return undone;
  }
  if (!file_) TRY(start(1));
  const auto written = file::write_all(file_->get(), lines);
  if (!written) {
    const off_t reached = ::lseek(file_->get(), 0, SEEK_CUR);
    beyond_ = std::max(beyond_, reached - end());
    const std::string path = segments_.back().host_path;
    if (const auto undone = cut(); !undone) {
      return fail(written.error().code, "{}: {}, nor could it be undone ({})", path,
                  written.error().message, undone.error().message);
    }
    return fail(written.error().code, "{}: {}", path, written.error().message);
  }
  segments_.back().size += lines.size();
  written_ += lines.size();
  beyond_ = 0;
  if (!hold_ahead()) has_room_ = false;
  return ok();
}

Status SegmentLog::cut() {
  const std::string& path = segments_.back().host_path;
  if (::lseek(file_->get(), end(), SEEK_SET) < 0) return fail_errno(path);
  if (::ftruncate(file_->get(), end()) != 0) return fail_errno(path);
  held_to_ = 0;  // what lies behind the end is given back
  beyond_ = 0;
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
  TRY(pay());
  if (beyond_ != 0) TRY(cut());
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
  if (held_to_ != 0) (void)cut();
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
    (void)pay();  // else when there is room: nobody waits for these
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
