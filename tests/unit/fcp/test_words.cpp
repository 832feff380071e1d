// SPDX-License-Identifier: MIT
#include "base/git_quoted.h"
#include "catch.h"
#include "fcp/parse.h"

namespace agentfs::fcp {
namespace {

using Words = std::vector<std::string>;

int code_of(std::string_view line) {
  const auto parsed = parse_line(line);
  return parsed ? 0 : parsed.error().code;
}

template <class T>
int parse_code(std::string_view word) {
  const auto parsed = Parser<T>::parse({"verb N", word});
  return parsed ? 0 : parsed.error().code;
}

}  // namespace

TEST_CASE("a line is words, quotes keep blanks") {
  CHECK(parse_line("  nice\t5  ")->words == Words{"nice", "5"});
  CHECK(parse_line(R"(a "b c" d"e f"g)")->words == Words{"a", "b c", "de fg"});
  CHECK(parse_line(R"("a\"\\\n\t")")->words == Words{"a\"\\\n\t"});
  CHECK(parse_line(R"(a "")")->words == Words{"a", ""});
  CHECK(parse_line("gr\xc3\xbc\xc3\x9f dich")->words.size() == 2);
}

TEST_CASE("words hold any bytes, escaped as status and diff write them") {
  for (const std::string_view name : {"n\377\376", "tab\there", "\"\\", "\1end", "gr\303\274n "}) {
    const auto line = parse_line("restore " + git_quoted(name));
    REQUIRE(line);
    CHECK(line->words == Words{"restore", std::string(name)});
  }
  CHECK(parse_line(R"("\q\8\40x")")->words == Words{"q840x"});  // no octal: the characters
  CHECK(code_of(R"(a "b\000c")") == EINVAL);
  CHECK(Parser<Path>::parse({"restore PATH", "\377"})->bytes == "\377");
  CHECK(parse_code<std::string>("\377") == EINVAL);
}

TEST_CASE("comments and blank lines have no words") {
  for (const std::string_view line : {"", "   ", "\t", "#", "# kill", "  # kill"}) {
    CHECK(parse_line(line)->words.empty());
  }
  CHECK(parse_line("send 5 # not a comment")->words.size() == 6);
}

TEST_CASE("the rest of a line is as it was written") {
  const std::string text = R"(redirect  do "this"  and  that )";
  const auto line = parse_line(text);
  CHECK(line->rest(1) == R"(do "this"  and  that)");
  CHECK(line->rest(9).empty());
}

TEST_CASE("what is no text is refused, with the place") {
  CHECK(code_of(std::string_view("a\0b", 3)) == EINVAL);
  CHECK(code_of("a\x01") == EINVAL);
  CHECK(code_of("a\x7f") == EINVAL);
  CHECK(code_of("a \xff") == EINVAL);
  CHECK(code_of("say \"open") == EINVAL);
  CHECK_THAT(parse_line("say \"open").error().message, Catch::Matchers::has("byte 5"));
}

TEST_CASE("words become typed arguments or a sentence") {
  CHECK(Parser<int>::parse({"nice N", "-7"}).value() == -7);
  for (const std::string_view bad : {"", "x", "1x", "1.5", "99999999999", " 1"}) {
    CHECK(parse_code<int>(bad) == EINVAL);
  }
  CHECK(Parser<Ranged<-20, 19>>::parse({"nice N", "19"})->value == 19);
  CHECK(parse_code<Ranged<-20, 19>>("20") == EINVAL);
  CHECK_THAT((Parser<Ranged<-20, 19>>::parse({"nice N", "20"}).error().message),
             Catch::Matchers::has("from -20 to 19"));
  CHECK(Parser<Duration>::parse({"deadline DUR", "2m"})->nanoseconds == 120'000'000'000);
  CHECK(parse_code<Duration>("soon") == EINVAL);
  CHECK(Parser<ProcessId>::parse({"link PID", "12"})->value == 12);
  CHECK(parse_code<ProcessId>("0") == EINVAL);
  CHECK(parse_code<std::string>("") == EINVAL);
}

TEST_CASE("key=value words") {
  CHECK(key_value("name=fixer") == std::pair<std::string, std::string>("name", "fixer"));
  CHECK(key_value("a_b=x=y") == std::pair<std::string, std::string>("a_b", "x=y"));
  for (const char* word : {"name", "=x", "Name=x", "a b=x", "1=2"}) CHECK_FALSE(key_value(word));
}

}  // namespace agentfs::fcp
