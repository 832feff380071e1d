// SPDX-License-Identifier: MIT
// Sentences that named what was wrong and nothing that would have worked: a setting of the wrong
// type had no range, NaN was shown as null, an open quote had no example.
#include "catch.h"
#include "fcp/parse.h"
#include "fcp/words.h"
#include "fs/vfs/line_buffer.h"
#include "kernel/document.h"

namespace agentfs::test {
namespace {

std::string said_of(std::string_view text) {
  const auto values = parse_document("history.toml", text);
  return values ? "" : values.error().message;
}

TEST_CASE("A setting of the wrong type is told with the range that would do") {
  const std::string said = said_of("days = \"x\"\n");
  CHECK(said.contains("\"x\""));
  CHECK(said.contains("a number from 0 to 36500 would do"));
}

TEST_CASE("What is no number is shown as it was written") {
  const std::string said = said_of("share = nan\n");
  CHECK(said.contains("nan"));
  CHECK_FALSE(said.contains("null"));
  CHECK(said.contains("a number from 0 to 1 would do"));
}

TEST_CASE("A quote that is not closed is told with what would close it") {
  const auto line = fcp::parse_line("restore \"half");
  REQUIRE_FALSE(line);
  CHECK(line.error().message.contains("one more at the end"));
}

TEST_CASE("An empty argument and a line too long are told with what would do") {
  const auto empty = fcp::Parser<std::string>::parse({.syntax = "checkpoint NAME", .word = ""});
  REQUIRE_FALSE(empty);
  CHECK(empty.error().message.contains("a word would do"));
  vfs::LineBuffer lines(false);
  const auto added = lines.add(0, std::string(70'000, 'x'));
  REQUIRE_FALSE(added);
  CHECK(added.error().message.contains("70000 bytes"));
  CHECK(added.error().message.contains("65536 would do"));
}

}  // namespace
}  // namespace agentfs::test
