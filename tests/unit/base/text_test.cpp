// SPDX-License-Identifier: MIT
#include "base/text.h"

#include <chrono>

#include "base/clock.h"
#include "catch.h"

namespace agentfs {
namespace {

TEST_CASE(
    "a path is below its directories, and in itself, but not below what its name begins with") {
  CHECK(text::is_below("/a/b", "/a"));
  CHECK(text::is_below("/a/b/c", "/a"));
  CHECK_FALSE(text::is_below("/a", "/a"));
  CHECK(text::is_in("/a", "/a"));
  CHECK_FALSE(text::is_in("/ab", "/a"));
  CHECK_FALSE(text::is_in("/", "/a"));
  CHECK(text::is_below("/a", "/"));
  CHECK_FALSE(text::is_below("/", "/"));
  CHECK(text::is_in("/", "/"));
  CHECK(text::is_below("a/b", ""));
  CHECK_FALSE(text::is_below("", ""));
}

TEST_CASE("lines and parts are split where they end, and nowhere else") {
  CHECK(text::lines("").empty());
  CHECK(text::lines("a\n\nb\n") == std::vector<std::string_view>{"a", "", "b"});
  CHECK(text::lines("\n") == std::vector<std::string_view>{""});
  CHECK(text::split("a,,b", ',') == std::vector<std::string_view>{"a", "", "b"});
  CHECK(text::words("  a \t b\n") == std::vector<std::string_view>{"a", "b"});
  CHECK(text::trim(" \t x y \n") == "x y");
}

TEST_CASE("Parts of a path are its last name and its first ones") {
  CHECK(text::last_part("/workspaces/site/a.c") == "a.c");
  CHECK(text::last_part("a") == "a");
  CHECK(text::first_parts("/workspaces/site/a/b", 2) == "/workspaces/site");
  CHECK(text::first_parts("/workspaces/site", 2) == "/workspaces/site");
  CHECK(text::first_parts("/workspaces", 2).empty());
  CHECK(text::first_parts("/", 2).empty());
  CHECK(text::first_parts("", 1).empty());
}

TEST_CASE("UTF-8 is what RFC 3629 says") {
  CHECK(text::is_utf8("gr\xC3\xBC\xC3\x9F"));
  CHECK(text::is_utf8("\xF0\x9F\x98\x80"));
  for (const std::string_view bad : {"\xC0\x80", "\xED\xA0\x80", "\xF5\x80\x80\x80", "\xC3", "\x80",
                                     "\xE0\x80\x80", "\xF4\x90\x80\x80"}) {
    CHECK_FALSE(text::is_utf8(bad));
    CHECK(text::is_utf8(text::to_utf8(bad)));
  }
}

TEST_CASE("what is no UTF-8 is found wherever it stands") {
  for (std::size_t at = 0; at < 40; ++at) {
    std::string text(40, 'a');
    CHECK(text::is_utf8(text));
    text[at] = '\xFF';
    CHECK_FALSE(text::is_utf8(text));
    text.replace(at, 1, "é");
    CHECK(text::is_utf8(text));
  }
}

TEST_CASE("cutting never cuts a character") {
  const std::string_view word = "a\xC3\xBCz";
  CHECK(text::prefix(word, 2) == "a");
  CHECK(text::prefix(word, 3) == "a\xC3\xBC");
  CHECK(text::suffix(word, 2) == "z");
  CHECK(text::suffix(word, 9) == word);
}

TEST_CASE("a value is shown so that it can be read in a sentence") {
  CHECK(text::shown("plain") == "plain");
  CHECK(text::shown("") == "\"\"");
  CHECK(text::shown("two words") == "\"two words\"");
  CHECK(text::shown(std::string_view("a\0b\n", 4)) == "a\\x00b\\n");
  CHECK(text::shown(std::string(100, 'x')).ends_with("…"));
}

TEST_CASE("of many long names not all are compared for what was meant") {
  std::vector<std::string> names{std::string(200, 'x') + "y"};
  names.resize(200'000, std::string(200, 'n'));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  CHECK(text::nearest(std::string(200, 'x'), names) == std::vector<std::string>{names.front()});
  CHECK(text::nearest(std::string(199, 'x') + "z", names) ==
        std::vector<std::string>{names.front()});
  CHECK(std::chrono::steady_clock::now() < deadline);
}

TEST_CASE("what was meant is among the nearest, what is far is not") {
  const std::vector<std::string> verbs = {"cancel", "kill", "nice", "reap"};
  CHECK(text::nearest("kil", verbs) == std::vector<std::string>{"kill"});
  CHECK(text::nearest("zzzzzz", verbs).empty());
  CHECK(text::nearest("rename", verbs).empty());  // which is three of its letters from reap
  CHECK(text::nearest("txet", {"text"}) == std::vector<std::string>{"text"});
  CHECK(text::nearest("clt", {"ctl", "log"}) == std::vector<std::string>{"ctl"});  // one step
  CHECK(text::nearest(verbs.front(), {verbs.front()}).empty());  // what was given is no advice
  CHECK(text::did_you_mean("cansel", verbs) == "; did you mean cancel?");
  CHECK(text::did_you_mean("zzzzzz", verbs).empty());
}

TEST_CASE("numbers and durations take the whole word or nothing") {
  CHECK(text::number<int>("-7") == -7);
  for (const std::string_view bad : {"", "7x", " 7", "99999999999"}) {
    CHECK_FALSE(text::number<int>(bad));
  }
  CHECK(text::duration("90") == 90'000'000'000);
  CHECK(text::duration("250ms") == 250'000'000);
  CHECK(text::duration("1.5h") == 5'400'000'000'000);
  for (const std::string_view bad : {"", "-1s", "1w", "inf", "nan", "1e30d"}) {
    CHECK_FALSE(text::duration(bad));
  }
}

TEST_CASE("hexadecimal digits are the bytes and back") {
  CHECK(text::hex(std::string_view("\x00\xFF\x0A", 3)) == "00ff0a");
  CHECK(text::unhex("00ff0a") == std::string("\x00\xFF\x0A", 3));
  CHECK_FALSE(text::unhex("0"));
  CHECK_FALSE(text::unhex("zz"));
}

TEST_CASE("a timestamp is UTC with milliseconds") {
  CHECK(timestamp(0) == "1970-01-01T00:00:00.000Z");
  CHECK(timestamp(1'700'000'000'123'456'789) == "2023-11-14T22:13:20.123Z");
  CHECK(timestamp(1'700'000'000'999'999'999) == "2023-11-14T22:13:20.999Z");
  CHECK(timestamp(1'700'000'001'000'000'000) == "2023-11-14T22:13:21.000Z");
  CHECK(timestamp(-500'000'000) == "1969-12-31T23:59:59.500Z");
}

TEST_CASE("a time is told to as many digits as are asked for") {
  std::string text = "at ";
  append_timestamp(text, 1'700'000'000'000'456'789, 9);
  CHECK(text == "at 2023-11-14T22:13:20.000456789Z");
  text.clear();
  append_timestamp(text, 1'700'000'000'999'456'789, 0);
  CHECK(text == "2023-11-14T22:13:20Z");
}

TEST_CASE("a time of RFC 3339 is read in any zone, to the nanosecond") {
  CHECK(parse_timestamp("1970-01-01T00:00:00.000Z") == 0);
  CHECK(parse_timestamp("2023-11-14T22:13:20.123456789Z") == 1'700'000'000'123'456'789);
  CHECK(parse_timestamp("2023-11-15 00:13:20+02:00") == 1'700'000'000'000'000'000);
  CHECK(parse_timestamp("1969-12-31t23:59:59.5z") == -500'000'000);
  for (const std::string_view bad :
       {"", "2023-11-14", "2023-11-14T22:13:20", "2023-13-14T22:13:20Z", "2023-11-14T24:13:20Z",
        "2023-11-14T22:13:20.Z", "2023-11-14T22:13:20.1234567890Z", "2023-11-14T22:13:20+2:00",
        "2023-11-14T22:13:20Zz", "2023-11-14x22:13:20Z", "9999-11-14T22:13:20Z"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_timestamp(bad));
  }
}

}  // namespace
}  // namespace agentfs
