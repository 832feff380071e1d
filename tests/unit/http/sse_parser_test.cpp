// SPDX-License-Identifier: MIT
#include "backends/http/sse_parser.h"

#include <vector>

#include "catch.h"

using agentfs::http::SseEvent;
using agentfs::http::SseParser;

namespace {

using Events = std::vector<std::pair<std::string, std::string>>;  // type, data

Events parse(const std::vector<std::string_view>& pieces) {
  SseParser parser;
  Events events;
  for (const std::string_view piece : pieces) {
    const auto fed = parser.feed(piece, [&](const SseEvent& event) {
      events.emplace_back(event.type, event.data);
      return true;
    });
    REQUIRE(fed);
    REQUIRE(*fed);
  }
  return events;
}

// Whole, cut in two at each boundary, and byte by byte: always the same events.
void check(std::string_view stream, const Events& expected) {
  CHECK(parse({stream}) == expected);
  std::vector<std::string_view> bytes;
  for (std::size_t i = 0; i < stream.size(); ++i) {
    CHECK(parse({stream.substr(0, i), stream.substr(i)}) == expected);
    bytes.push_back(stream.substr(i, 1));
  }
  CHECK(parse(bytes) == expected);
}

}  // namespace

TEST_CASE("SSE: lines may end with LF, CR or CRLF") {
  check("data: a\n\ndata: b\n\n", {{"", "a"}, {"", "b"}});
  check("data: a\r\rdata: b\r\r", {{"", "a"}, {"", "b"}});
  check("data: a\r\n\r\ndata: b\r\n\r\n", {{"", "a"}, {"", "b"}});
  check("data: a\r\n\ndata: b\n\r\ndata: c\r\r\n", {{"", "a"}, {"", "b"}, {"", "c"}});
}

TEST_CASE("SSE: data lines of one event are joined by newlines") {
  check("data: one\ndata: two\ndata\ndata:\n\n", {{"", "one\ntwo\n\n"}});
  check("data\n\n", {{"", ""}});
  check("data:  two blanks\n\n", {{"", " two blanks"}});
  check("data:no blank\n\n", {{"", "no blank"}});
}

TEST_CASE("SSE: comments and fields without a meaning here are passed over") {
  check(": ping\n\n:\n\nid: 7\nretry: 10\ndata: a\nunknown: x\n: more\n\n", {{"", "a"}});
}

TEST_CASE("SSE: the type holds for one event, and an event without data is none") {
  check("event: error\ndata: a\n\ndata: b\n\nevent: x\n\ndata: c\n\n",
        {{"error", "a"}, {"", "b"}, {"", "c"}});
}

TEST_CASE("SSE: a byte order mark is passed over at the start only") {
  check(
      "\xEF\xBB\xBF"
      "data: a\n\n",
      {{"", "a"}});
  check(
      "\xEF\xBB\xBF\n\xEF\xBB\xBF"
      "data: a\n\ndata: b\n\n",
      {{"", "b"}});
}

TEST_CASE("SSE: an event that is not ended is none") {
  check("data: a\n\ndata: b\n", {{"", "a"}});
  check("data: a\n\ndata: b", {{"", "a"}});
}

TEST_CASE("SSE: UTF-8 may be cut anywhere, what is not UTF-8 is replaced") {
  check("data: h\xC3\xA9llo \xF0\x9F\x98\x80\n\n", {{"", "h\xC3\xA9llo \xF0\x9F\x98\x80"}});
  check("data: a\xFFz\n\n", {{"", "a\xEF\xBF\xBDz"}});
}

TEST_CASE("SSE: a line or an event beyond the limit is EBADMSG") {
  const auto ignore = [](const SseEvent&) { return true; };
  SseParser endless(16);
  REQUIRE(endless.feed("data: 0123456789", ignore));
  const auto line = endless.feed("x", ignore);
  REQUIRE_FALSE(line);
  CHECK(line.error().code == EBADMSG);
  CHECK_THAT(line.error().message, Catch::Matchers::has("longer than 16 bytes"));

  SseParser many(16);
  const auto event = many.feed("data: 012345\ndata: 012345\ndata: 012345\n", ignore);
  REQUIRE_FALSE(event);
  CHECK(event.error().code == EBADMSG);
}

TEST_CASE("SSE: a receiver that wants no more ends the feeding") {
  SseParser parser;
  int seen = 0;
  const auto fed = parser.feed("data: a\n\ndata: b\n\n", [&](const SseEvent&) {
    ++seen;
    return false;
  });
  REQUIRE(fed);
  CHECK_FALSE(*fed);
  CHECK(seen == 1);
}
