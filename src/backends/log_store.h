// SPDX-License-Identifier: MIT
// An append-only log of lines in segments: what the journal is written to.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace agentfs {

struct SegmentInfo {
  std::string name;        // "000000000001.jsonl": the first sequence number in it
  std::uint64_t size = 0;  // whole lines only
  std::string host_path;   // "" where the store has no files
};

// Threads: one appender at a time; segments() and read() may run beside it. After append() the
// line survives the death of the process (write(2)); after sync() the loss of power.
class LogStore {
 public:
  virtual ~LogStore() = default;
  // Appends lines, each ended by '\n', all or nothing: after an error the log ends where it did.
  virtual Status append(std::string_view lines) = 0;
  // The same for what must be told even when the disk is full: it may take from space that the log
  // keeps back, where it keeps some.
  virtual Status append_urgent(std::string_view lines) { return append(lines); }
  // To be asked before what cannot be undone: ENOSPC where its line might not fit. What makes room
  // may begin as long as anything is kept back.
  virtual Status check_room(bool /*makes_room*/) { return ok(); }
  virtual Status sync() = 0;
  // Starts a new segment for what comes next, named after `first_sequence`.
  virtual Status roll(std::uint64_t first_sequence) = 0;
  virtual std::vector<SegmentInfo> segments() const = 0;
  // Whole lines of one segment from byte `offset`, at most `limit` bytes (0: all).
  virtual Result<std::string> read(std::string_view segment, std::uint64_t offset = 0,
                                   std::uint64_t limit = 0) const = 0;
};

}  // namespace agentfs
