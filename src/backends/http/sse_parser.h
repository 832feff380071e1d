// SPDX-License-Identifier: MIT
// Server-sent events, as the WHATWG HTML standard defines their parsing.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace agentfs::http {

struct SseEvent {
  std::string type;  // of the `event` field; "" is a message
  std::string data;  // the `data` lines joined by newlines; valid UTF-8
};

// Takes a stream in pieces cut anywhere, gives whole events. Lines end with CR, LF or CRLF; a byte
// order mark at the start, comments and the fields `id` and `retry` are passed over. An event that
// the stream ends before its empty line is none. Threads: one at a time.
class SseParser {
 public:
  // Returns false when it wants no further event.
  using Receiver = std::function<bool(const SseEvent&)>;

  static constexpr std::size_t kLimit = 16u << 20;
  // `limit` bounds a line, and the data of an event.
  explicit SseParser(std::size_t limit = kLimit) : limit_(limit) {}

  // False when the receiver wants no more; EBADMSG at a line or an event beyond the limit. After
  // either the parser must not be fed again.
  Result<bool> feed(std::string_view bytes, const Receiver& receiver);

 private:
  bool end_line(const Receiver& receiver);  // false: the receiver wants no more
  void take_field(std::string_view line);
  bool dispatch(const Receiver& receiver);

  std::size_t limit_;
  std::string line_;
  SseEvent event_;
  bool has_data_ = false;
  bool first_line_ = true;
  bool after_carriage_return_ = false;
};

}  // namespace agentfs::http
