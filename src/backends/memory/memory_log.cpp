// SPDX-License-Identifier: MIT
#include <algorithm>

#include "backends/memory/memory.h"
#include "base/mutex.h"
#include "base/text.h"

namespace agentfs {
namespace {

struct Segment {
  std::uint64_t first_sequence = 0;
  std::string bytes;
  std::string name() const { return fmt::format("{:012}.jsonl", first_sequence); }
};

class MemoryLog final : public LogStore {
 public:
  Status append(std::string_view lines) override {
    if (lines.empty()) return ok();
    if (!lines.ends_with('\n')) {
      return fail(EINVAL, "log: the last line is not ended ({}); every line ends with a newline",
                  text::shown(text::suffix(lines, 40)));
    }
    const Lock lock(mutex_);
    if (segments_.empty()) segments_.push_back({.first_sequence = 1, .bytes = {}});
    segments_.back().bytes += lines;
    return ok();
  }

  Status sync() override { return ok(); }

  Status roll(std::uint64_t first_sequence) override {
    const Lock lock(mutex_);
    const std::uint64_t last = segments_.empty() ? 0 : segments_.back().first_sequence;
    if (first_sequence == last && last != 0 && segments_.back().bytes.empty()) return ok();
    if (first_sequence <= last) {
      return fail(EINVAL, "log: a segment cannot begin at {}; it must be beyond {}", first_sequence,
                  last);
    }
    segments_.push_back({.first_sequence = first_sequence, .bytes = {}});
    return ok();
  }

  std::vector<SegmentInfo> segments() const override {
    const Lock lock(mutex_);
    std::vector<SegmentInfo> infos;
    for (const Segment& segment : segments_) {
      infos.push_back({.name = segment.name(), .size = segment.bytes.size(), .host_path = {}});
    }
    return infos;
  }

  Result<std::string> read(std::string_view segment, std::uint64_t offset,
                           std::uint64_t limit) const override {
    const Lock lock(mutex_);
    const auto found = std::ranges::find(segments_, segment, &Segment::name);
    if (found == segments_.end()) {
      return fail(ENOENT, "log: no segment {}; there are {}", text::shown(segment),
                  segments_.size());
    }
    if (offset > found->bytes.size()) {
      return fail(EINVAL, "{}: offset {} lies beyond the end ({})", segment, offset,
                  found->bytes.size());
    }
    std::string bytes = found->bytes.substr(offset, limit == 0 ? std::string::npos : limit);
    const auto newline = bytes.rfind('\n');
    if (newline == std::string::npos && !bytes.empty()) {
      return fail(EMSGSIZE, "{}: the line at {} is longer than the {} bytes asked for", segment,
                  offset, limit);
    }
    bytes.resize(bytes.empty() ? 0 : newline + 1);
    return bytes;
  }

 private:
  mutable Mutex<Rank::store> mutex_;
  std::vector<Segment> segments_ GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<LogStore> make_memory_log() { return std::make_unique<MemoryLog>(); }

}  // namespace agentfs
