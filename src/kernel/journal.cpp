// SPDX-License-Identifier: MIT
#include "kernel/journal.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>

#include "base/log.h"
#include "base/text.h"
#include "kernel/kinds.h"
#include "kernel/verified_segments.h"

namespace agentfs {
namespace {

constexpr std::size_t kHashDigits = 64;
constexpr std::int64_t kSegmentBytes = std::int64_t{8} << 20;
constexpr std::uint64_t kFull = ~std::uint64_t{0} >> 1;  // more than any segment may have

JournalHead empty_head() { return {.sequence = {}, .hash = std::string(kHashDigits, '0')}; }

// Follows the chain from a head over whole lines.
class ChainReader {
 public:
  explicit ChainReader(JournalHead head, bool trusts_first = false)
      : head_(std::move(head)), trusts_first_(trusts_first) {}

  Result<Record> next(std::string_view line) {
    std::string previous;
    std::string hash;
    Result<Record> record = decode_record(line, previous, hash);
    const std::uint64_t expected = head_.sequence.value + 1;
    if (!record) return fail(EBADMSG, "record {}: {}", expected, record.error().message);
    if (!trusts_first_ && record->sequence.value != expected) {
      return fail(EBADMSG, "record {}: numbered {}; records are numbered without gaps", expected,
                  record->sequence.value);
    }
    if (!trusts_first_ && previous != head_.hash) {
      return fail(EBADMSG, "record {}: does not follow the one before it (prev {}); {} would",
                  expected, previous, head_.hash);
    }
    trusts_first_ = false;
    head_ = {.sequence = record->sequence, .hash = hash};
    return record;
  }
  // Over a line that next() has refused. Which record it was, and its hash, only those around it
  // know; where it is the last one, what comes next follows the line as it was found.
  void skip(std::string_view line) {
    head_ = {.sequence = {head_.sequence.value + 1}, .hash = blake2b(line)};
    trusts_first_ = true;
  }
  const JournalHead& head() const { return head_; }

 private:
  JournalHead head_;
  bool trusts_first_;
};

std::uint64_t first_sequence(const SegmentInfo& segment) {
  return text::number<std::uint64_t>(segment.name.substr(0, segment.name.find('.'))).value_or(0);
}

// JSON text is UTF-8; what is not is made so before it is written, so that the record in memory
// and the one that a replay reads are the same.
void make_utf8(json::Value& value) {
  if (const std::string* s = value.string()) {
    if (!text::is_utf8(*s)) value = text::to_utf8(*s);
  } else if (json::Array* items = value.array()) {
    for (json::Value& item : *items) make_utf8(item);
  } else if (json::Object* members = value.object()) {
    for (auto& [name, item] : *members) {
      if (!text::is_utf8(name)) name = text::to_utf8(name);
      make_utf8(item);
    }
  }
}

void make_utf8(std::string& text) {
  if (!text::is_utf8(text)) text = text::to_utf8(text);
}

}  // namespace

struct Journal::Parts {
  Parts(LogStore& store, SigningKey signing_key, const Clock& time)
      : log(store), key(std::move(signing_key)), clock(time) {}

  Status roll_if_full() REQUIRES(mutex);
  Status visit_segments(Sequence after,
                        const std::function<Status(std::string_view line)>& visitor) const;

  LogStore& log;
  const SigningKey key;
  const Clock& clock;

  mutable Mutex<Rank::journal> mutex;  // over the head and the append
  JournalHead head GUARDED_BY(mutex) = empty_head();
  std::uint64_t segment_size GUARDED_BY(mutex) = 0;
  bool end_is_damaged GUARDED_BY(mutex) = false;  // and nothing was appended since
  std::int64_t segment_bytes GUARDED_BY(mutex) = kSegmentBytes;
  std::atomic<std::uint64_t> written = 0;  // sequence of the last record
  std::vector<std::string> damage;         // constant after open()
  VerifiedSegments verified;

  Mutex<Rank::journal> sync_mutex;  // never held with the other
  std::condition_variable_any synced_changed;
  std::uint64_t synced GUARDED_BY(sync_mutex) = 0;
  bool syncing GUARDED_BY(sync_mutex) = false;
};

Journal::Journal(LogStore& log, SigningKey key, const Clock& clock)
    : parts_(std::make_unique<Parts>(log, std::move(key), clock)) {}

Journal::~Journal() = default;

Result<std::unique_ptr<Journal>> Journal::open(LogStore& log, SigningKey key, const Clock& clock) {
  std::unique_ptr<Journal> journal(new Journal(log, std::move(key), clock));
  const std::vector<SegmentInfo> segments = log.segments();
  const auto last = std::find_if(segments.rbegin(), segments.rend(),
                                 [](const SegmentInfo& segment) { return segment.size > 0; });
  if (last == segments.rend()) return journal;
  const std::string lines = TRY(log.read(last->name));
  const std::uint64_t first = std::max<std::uint64_t>(first_sequence(*last), 1);
  ChainReader chain({.sequence = {first - 1}, .hash = empty_head().hash}, first > 1);
  Parts& parts = *journal->parts_;
  Lock lock(parts.mutex);
  for (const std::string_view line : text::lines(lines)) {
    const Result<Record> record = chain.next(line);
    parts.end_is_damaged = !record;
    if (record) continue;
    parts.damage.push_back(fmt::format("{}: {}", last->name, record.error().message));
    chain.skip(line);
  }
  parts.head = chain.head();
  // Evidence is not written on: the next record begins a segment.
  parts.segment_size = parts.damage.empty() ? segments.back().size : kFull;
  parts.written = chain.head().sequence.value;
  return journal;
}

const std::vector<std::string>& Journal::damage() const { return parts_->damage; }

Status Journal::continue_after(Sequence sequence) {
  Parts& parts = *parts_;
  Lock lock(parts.mutex);
  if (!parts.end_is_damaged) {
    return fail(EBADMSG, "journal: its end, record {}, is whole; it cannot go on after {}",
                parts.head.sequence.value, sequence.value);
  }
  parts.head.sequence = std::max(parts.head.sequence, sequence);
  parts.written = parts.head.sequence.value;
  return ok();
}

Status Journal::Parts::roll_if_full() {
  if (segment_size != kFull && segment_bytes <= 0) return ok();
  if (segment_size < static_cast<std::uint64_t>(segment_bytes)) return ok();
  TRY(log.roll(head.sequence.value + 1));
  segment_size = 0;
  return ok();
}

Result<Record> Journal::append(std::string kind, Author author, json::Value data,
                               std::string* line_out) {
  Record record{.sequence = {},
                .time = 0,
                .kind = std::move(kind),
                .author = std::move(author),
                .data = std::move(data)};
  make_utf8(record.data);
  for (std::string* text : {&record.kind, &record.author.user, &record.author.command,
                            &record.author.path, &record.author.via}) {
    make_utf8(*text);
  }
  Parts& parts = *parts_;
  Lock lock(parts.mutex);
  if (const Status rolled = parts.roll_if_full(); !rolled) {
    // The full segment takes more: only its size suffers.
    log::warning("journal: no new segment could be begun: {}", rolled.error().message);
  }
  record.sequence = {parts.head.sequence.value + 1};
  record.time = parts.clock.wall();
  std::string hash;
  std::string line = encode_record(record, parts.head.hash, hash);
  line += '\n';
  TRY(kind::must_be_told(record.kind) ? parts.log.append_urgent(line) : parts.log.append(line));
  if (parts.segment_size != kFull) parts.segment_size += line.size();
  parts.end_is_damaged = false;
  parts.head = {.sequence = record.sequence, .hash = std::move(hash)};
  parts.written = record.sequence.value;
  if (line_out != nullptr) *line_out = std::move(line);
  return record;
}

const std::string& Journal::public_key() const { return parts_->key.public_key(); }

Status Journal::check_room(bool makes_room) { return parts_->log.check_room(makes_room); }

Status Journal::sync() {
  Parts& parts = *parts_;
  const std::uint64_t wanted = parts.written;
  Lock lock(parts.sync_mutex);
  while (parts.synced < wanted) {
    if (parts.syncing) {
      parts.synced_changed.wait(lock);
      continue;
    }
    // One caller syncs for all that were written until now; the others wait for it.
    parts.syncing = true;
    lock.unlock();
    const std::uint64_t reached = parts.written;
    const Status status = parts.log.sync();
    lock.lock();
    parts.syncing = false;
    if (status) parts.synced = std::max(parts.synced, reached);
    parts.synced_changed.notify_all();
    if (!status) return status;
  }
  return ok();
}

bool Journal::is_synced() const {
  Lock lock(parts_->sync_mutex);
  return parts_->synced >= parts_->written;
}

void Journal::set_segment_bytes(std::int64_t bytes) {
  Lock lock(parts_->mutex);
  parts_->segment_bytes = bytes;
}

JournalHead Journal::head() const {
  Lock lock(parts_->mutex);
  return parts_->head;
}

std::string Journal::signed_head() const {
  const JournalHead now = head();
  const std::string message = fmt::format("{} {}", now.sequence.value, now.hash);
  return fmt::format("{}\t{}\t{}\t{}\n", now.sequence.value, now.hash, parts_->key.public_key(),
                     parts_->key.sign(message));
}

Status Journal::Parts::visit_segments(
    Sequence after, const std::function<Status(std::string_view line)>& visitor) const {
  const std::vector<SegmentInfo> segments = log.segments();
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const bool is_behind =
        i + 1 < segments.size() && first_sequence(segments[i + 1]) <= after.value + 1;
    if (is_behind || segments[i].size == 0) continue;
    const std::string lines = TRY(log.read(segments[i].name));
    for (const std::string_view line : text::lines(lines)) TRY(visitor(line));
  }
  return ok();
}

Result<std::string> Journal::verify() const {
  const JournalHead expected = head();
  ChainReader chain(empty_head());
  bool is_met = expected.sequence.value == 0;
  std::vector<std::string> damaged;
  const auto check = [&](std::string_view line) {
    const Result<Record> record = chain.next(line);
    if (!record) {
      damaged.push_back(record.error().message);
      chain.skip(line);
    } else if (record->sequence == expected.sequence) {
      is_met = chain.head().hash == expected.hash;
    }
  };
  const std::vector<SegmentInfo> segments = parts_->log.segments();
  for (const SegmentInfo& segment : segments) {
    if (segment.size == 0) continue;
    const JournalHead before = chain.head();
    const bool is_over = &segment != &segments.back() && damaged.empty();
    const auto behind = is_over ? parts_->verified.behind(segment, before) : std::nullopt;
    if (behind && behind->sequence < expected.sequence) {
      chain = ChainReader(*behind);
      continue;
    }
    const auto state = is_over ? VerifiedSegments::state_of(segment) : std::nullopt;
    const auto lines = parts_->log.read(segment.name);
    if (!lines && damaged.empty()) return fail(EBADMSG, "journal: {}", lines.error().message);
    if (!lines) break;
    for (const std::string_view line : text::lines(*lines)) check(line);
    if (state && damaged.empty()) parts_->verified.note(segment, *state, before, chain.head());
  }
  if (!damaged.empty()) {
    return fail(EBADMSG, "journal: {}; {} cannot be read or do not follow, the rest of {} do",
                damaged.front(), damaged.size(), expected.sequence.value);
  }
  if (!is_met) {
    return fail(EBADMSG, "journal: record {}: not in the log with hash {}; the log ends at {}",
                expected.sequence.value, expected.hash, chain.head().sequence.value);
  }
  return fmt::format("ok {} {}\n", chain.head().sequence.value, chain.head().hash);
}

Status Journal::replay(Sequence after, const Visitor& visitor) const {
  return replay_lines(after,
                      [&](const Record& record, std::string_view) { return visitor(record); });
}

Status Journal::replay_lines(Sequence after, const LineVisitor& visitor) const {
  ChainReader chain(empty_head(), after.value > 0);
  return parts_->visit_segments(after, [&](std::string_view line) -> Status {
    const Record record = TRY(chain.next(line));
    return record.sequence > after ? visitor(record, line) : ok();
  });
}

Status Journal::replay_readable(Sequence after, const LineVisitor& visitor,
                                std::vector<std::string>& damaged) const {
  ChainReader chain(empty_head(), after.value > 0);
  return parts_->visit_segments(after, [&](std::string_view line) -> Status {
    const Result<Record> record = chain.next(line);
    if (record) return record->sequence > after ? visitor(*record, line) : ok();
    chain.skip(line);
    // Before the first record that can be read, the number is not known.
    if (chain.head().sequence > after || after.value == 0)
      damaged.push_back(record.error().message);
    return ok();
  });
}

Result<std::size_t> Journal::count(Sequence after,
                                   const std::function<bool(const Record&)>& counts) const {
  std::size_t number = 0;
  std::vector<std::string> damaged;
  const auto look = [&](const Record& record, std::string_view) {
    number += counts(record);
    return ok();
  };
  TRY(replay_readable(after, look, damaged));
  return number;
}

Result<std::string> Journal::hash_at(Sequence sequence) const {
  if (!sequence) return empty_head().hash;
  const JournalHead now = head();
  if (sequence > now.sequence) {
    return fail(ENOENT, "journal: record {} is not there; it ends at {}", sequence.value,
                now.sequence.value);
  }
  {
    Lock lock(parts_->mutex);
    if (sequence == now.sequence && !parts_->end_is_damaged) return now.hash;
  }
  std::string found;
  // It is in the record, and in the one after it: a reader that has either has read enough.
  const Sequence before{sequence.value - 1};
  const Status read = parts_->visit_segments(before, [&](std::string_view line) -> Status {
    std::string previous;
    std::string hash;
    const Result<Record> record = decode_record(line, previous, hash);
    if (!record) return ok();
    if (record->sequence == sequence) found = hash;
    if (record->sequence.value == sequence.value + 1) found = previous;
    return found.empty() ? ok() : fail(EINTR, "found");
  });
  if (!found.empty()) return found;
  TRY(read);
  return fail(EBADMSG, "journal: record {} cannot be read", sequence.value);
}

const LogStore& Journal::log() const { return parts_->log; }

}  // namespace agentfs
