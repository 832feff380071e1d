// SPDX-License-Identifier: MIT
// The journal: what has happened, in order, hash-chained, the head signed. The state of the kernel
// is its fold.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backends/log_store.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mutex.h"
#include "kernel/record.h"

namespace agentfs {

struct JournalHead {
  Sequence sequence;  // of the last record; 0 in an empty journal
  std::string hash;   // of that record; 64 zeros in an empty journal
  bool operator==(const JournalHead&) const = default;
};

// Threads: all. append() returns when the record has been given to the operating system: it
// survives the death of the process; sync() makes everything so far survive the loss of power
// (concurrent calls share one fdatasync).
class Journal {
 public:
  // Reads the log's last segment. Records of it that are damaged stay as they are, are told by
  // damage(), and what comes next begins a new segment, which follows the damaged line as found.
  static Result<std::unique_ptr<Journal>> open(LogStore& log, SigningKey key, const Clock& clock);
  ~Journal();

  // Completes the record (sequence, time) and writes it; its line, with the newline, goes to
  // `line_out` where wanted. Text that is not UTF-8 has been made so in what is given back, which
  // is what a replay sees. ENOSPC and EIO: nothing was written.
  // Kinds that must_be_told() may use the space that the log keeps back.
  Result<Record> append(std::string kind, Author author, json::Value data,
                        std::string* line_out = nullptr);
  Status sync();
  // To be asked before what cannot be undone: ENOSPC where it might not be told.
  Status check_room(bool makes_room);
  bool is_synced() const;  // all that was appended until now
  // Sentences about damaged records of the segment that was the last one at the start.
  const std::vector<std::string>& damage() const;
  // Where that segment's end is damaged, so that its last number is not known: the head is at least
  // here. EBADMSG where the end is whole.
  Status continue_after(Sequence sequence);
  // A segment that has grown beyond this is followed by a new one; 8 MiB until told.
  void set_segment_bytes(std::int64_t bytes);

  JournalHead head() const;
  const std::string& public_key() const;  // that its heads are signed with
  // "<sequence>\t<hash>\t<public key>\t<signature over 'sequence hash'>\n": /sys/journal/head.
  std::string signed_head() const;
  // Recomputes the whole chain from the log: "ok <sequence> <hash>\n", or a sentence naming the
  // first record that is wrong and how many are (EBADMSG). Of segments that were found whole before
  // only those that somebody has written to since.
  Result<std::string> verify() const;
  // Visits every record with sequence > after, in order; stops at the visitor's first error.
  using Visitor = std::function<Status(const Record&)>;
  Status replay(Sequence after, const Visitor& visitor) const;
  // The same with each record's line, without its newline.
  using LineVisitor = std::function<Status(const Record&, std::string_view line)>;
  Status replay_lines(Sequence after, const LineVisitor& visitor) const;
  // The same where the rest counts: what is damaged is left out and told in `damaged`.
  Status replay_readable(Sequence after, const LineVisitor& visitor,
                         std::vector<std::string>& damaged) const;
  // How many it can read of those that `counts` holds of.
  Result<std::size_t> count(Sequence after, const std::function<bool(const Record&)>& counts) const;
  // The hash of one record; 64 zeros for 0. ENOENT where the journal does not reach so far, EBADMSG
  // where damage hides it.
  Result<std::string> hash_at(Sequence sequence) const;
  const LogStore& log() const;

 private:
  Journal(LogStore& log, SigningKey key, const Clock& clock);
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// The line without its newline, and back; EBADMSG for what is no record or has a wrong hash.
std::string encode_record(const Record& record, const std::string& previous_hash,
                          std::string& hash_out);
Result<Record> decode_record(std::string_view line, std::string& previous_hash_out,
                             std::string& hash_out);

}  // namespace agentfs
