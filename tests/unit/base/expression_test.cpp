// SPDX-License-Identifier: MIT
#include "base/expression.h"

#include <fmt/format.h>

#include <chrono>

#include "catch.h"
#include "support/must.h"

namespace agentfs::test {
namespace {

std::string repeated(std::string_view piece, std::size_t times) {
  std::string whole;
  for (std::size_t i = 0; i < times; ++i) whole += piece;
  return whole;
}

TEST_CASE("An expression is found anywhere in a text, in the syntax that models write") {
  CHECK(must(Expression::compile("b+c")).is_in("abbcd"));
  CHECK(must(Expression::compile("^int [[:alpha:]]+\\($")).is_in("int main("));
  CHECK(must(Expression::compile(R"((?i)todo\b)")).is_in("// ToDo: x"));
  CHECK_FALSE(must(Expression::compile(R"(^\d+$)")).is_in("12a"));
  CHECK(must(Expression::compile("é.$")).is_in("caf\xC3\xA9s"));
  CHECK(must(Expression::compile("a")).is_in(std::string_view("\xFF\0a", 3)));
}

TEST_CASE("What is no expression is told, with a sentence") {
  for (const char* const text : {"(", "[a", "a**", R"((a)\1)", "a{2,1}"}) {
    const auto refused = Expression::compile(text);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == EINVAL);
    CHECK(refused.error().message.starts_with("no regular expression"));
    CHECK(refused.error().message.contains(text));
  }
}

TEST_CASE(
    "What other engines have and RE2 reads as plain characters is refused, not searched for") {
  for (const char* const text : {R"(\<main)", R"(main\>)", R"([a\]]\<b)", "a{,3}", "[]]x{,3}"}) {
    const auto refused = Expression::compile(text);
    INFO(text);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == EINVAL);
    CHECK((refused.error().message.contains(R"(\b)") || refused.error().message.contains("{0,n}")));
  }
  CHECK(must(Expression::compile(R"(\\<)")).is_in(R"(a\<)"));
  CHECK(must(Expression::compile(R"(\Q\<\E)")).is_in(R"(a\<)"));
  CHECK(must(Expression::compile(R"([\<[:alpha:]{,3}]x)")).is_in("<x"));
  CHECK(must(Expression::compile(R"(a\{,3})")).is_in("a{,3}"));
  CHECK(must(Expression::compile("{,}")).is_in("{,}"));
}

TEST_CASE("A line that is not UTF-8 is looked at by its bytes") {
  const std::string line = "name = \xE4\xF6 and value";
  CHECK(must(Expression::compile("name.*value")).is_in(line));
  CHECK(must(Expression::compile("= [^ ]+ and")).is_in(line));
  CHECK(must(Expression::compile("= ä")).is_in(line));
  CHECK_FALSE(must(Expression::compile("^name.$")).is_in(line));
}

TEST_CASE("An expression of too many steps is refused, however short it is written") {
  for (const char* const text : {R"((\pL|\pM){400}0)", R"(\pL{20})"}) {
    const auto refused = Expression::compile(text);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == EINVAL);
  }
}

// glibc's regcomp(3) recurses on the first and multiplies the second; its regexec(3) backtracks on
// references.
TEST_CASE("No expression ends the program or takes it long") {
  CHECK_FALSE(Expression::compile(repeated("(", 20'000) + repeated(")", 20'000)));
  (void)Expression::compile(repeated("(", 2'000) + "a" + repeated(")", 2'000));
  (void)Expression::compile(".*" + repeated("{10,}", 6));
  (void)Expression::compile(repeated("((a{1,100}){1,100}", 200));
  const auto begun = std::chrono::steady_clock::now();
  const auto slow = must(Expression::compile("^" + repeated("(a*)*", 20) + "b"));
  CHECK_FALSE(slow.is_in(std::string(16'384, 'a')));
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(30));
}

}  // namespace
}  // namespace agentfs::test
