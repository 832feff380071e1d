// SPDX-License-Identifier: MIT
// Sentences that named what was wrong and nothing that would have worked: a setting of the wrong
// type had no range, NaN was shown as null, an open quote had no example.
#include "catch.h"
#include "fcp/words.h"
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

}  // namespace
}  // namespace agentfs::test
