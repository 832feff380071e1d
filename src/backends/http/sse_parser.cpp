// SPDX-License-Identifier: MIT
#include "backends/http/sse_parser.h"

#include <utility>

#include "base/text.h"

namespace agentfs::http {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

Result<bool> SseParser::feed(std::string_view bytes, const Receiver& receiver) {
  while (!bytes.empty()) {
    if (std::exchange(after_carriage_return_, false) && bytes.front() == '\n') {
      bytes.remove_prefix(1);
      continue;
    }
    const std::size_t end = bytes.find_first_of("\r\n");
    const std::string_view piece = bytes.substr(0, end);
    if (line_.size() + event_.data.size() + piece.size() > limit_) {
      return fail(EBADMSG, "an event of the stream is longer than {} bytes (it begins {})", limit_,
                  text::shown(event_.data.empty() ? line_ : event_.data));
    }
    line_ += piece;
    if (end == std::string_view::npos) return true;
    after_carriage_return_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    if (!end_line(receiver)) return false;
  }
  return true;
}

bool SseParser::end_line(const Receiver& receiver) {
  std::string_view line = line_;
  if (std::exchange(first_line_, false) && line.starts_with(kByteOrderMark)) {
    line.remove_prefix(kByteOrderMark.size());
  }
  bool wanted = true;
  if (line.empty()) {
    wanted = dispatch(receiver);
  } else {
    take_field(line);
  }
  line_.clear();
  return wanted;
}

void SseParser::take_field(std::string_view line) {
  const std::size_t colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  std::string_view value;
  if (colon != std::string_view::npos) value = line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (name == "data") {
    if (std::exchange(has_data_, true)) event_.data += '\n';
    event_.data += value;
  } else if (name == "event") {
    event_.type = value;
  }
}

bool SseParser::dispatch(const Receiver& receiver) {
  SseEvent event = std::exchange(event_, {});
  if (!std::exchange(has_data_, false)) return true;
  if (!text::is_utf8(event.data)) event.data = text::to_utf8(event.data);
  return receiver(event);
}

}  // namespace agentfs::http
