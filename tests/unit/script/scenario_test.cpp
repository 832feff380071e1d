// SPDX-License-Identifier: MIT
#include "backends/script/scenario.h"

#include "catch.h"

using namespace agentfs;
using agentfs::script::Pattern;
using agentfs::script::Scenario;
using Catch::Matchers::has;

namespace {

std::string error_of(std::string_view text) {
  const auto scenario = Scenario::parse(text);
  if (scenario) return "";
  CHECK(scenario.error().code == EBADMSG);
  return scenario.error().message;
}

}  // namespace

TEST_CASE("scenario: steps alone are one task for every message") {
  const auto scenario = Scenario::parse(R"({"name":"n","steps":[{"text":"a"}],"after":"over"})");
  REQUIRE(scenario);
  CHECK(scenario->name == "n");
  const auto* task = scenario->find("anything");
  REQUIRE(task != nullptr);
  CHECK(task->after == "over");
  CHECK(task->find(0, "")->text == "a");
  CHECK(task->find(1, "") == nullptr);
}

TEST_CASE("scenario: the first task that fits plays") {
  const auto scenario = Scenario::parse(
      R"({"tasks":[{"match":"tests","steps":[],"after":"1"},{"match":"/^re.*x$/","after":"2"},)"
      R"({"match":"*"}],"after":"3"})");
  REQUIRE(scenario);
  CHECK(scenario->find("make the tests pass")->after == "1");
  CHECK(scenario->find("regex")->after == "2");
  CHECK(scenario->find("other")->after == "3");
  const auto picky = Scenario::parse(R"({"tasks":[{"match":"a"}]})");
  REQUIRE(picky);
  CHECK(picky->find("b") == nullptr);
}

TEST_CASE("scenario: repeat multiplies a step, when takes it out") {
  const auto scenario = Scenario::parse(
      R"({"steps":[{"text":"a","repeat":1000000},{"text":"b","when":"deep"},{"text":"c"},)"
      R"({"text":"none","repeat":0}]})");
  REQUIRE(scenario);
  const auto* task = scenario->find("");
  CHECK(task->find(999'999, "deep")->text == "a");
  CHECK(task->find(1'000'000, "deep")->text == "b");
  CHECK(task->find(1'000'001, "deep")->text == "c");
  CHECK(task->find(1'000'000, "shallow")->text == "c");
  CHECK(task->find(1'000'001, "shallow") == nullptr);
}

TEST_CASE("scenario: a pattern is a substring, a star or an expression") {
  CHECK(Pattern::parse("a.c")->fits("xa.cx"));
  CHECK_FALSE(Pattern::parse("a.c")->fits("abc"));
  CHECK(Pattern::parse("/a.c/")->fits("xabcx"));
  CHECK(Pattern::parse("*")->fits(""));
  CHECK(Pattern::parse("/")->fits("a/b"));
  CHECK_FALSE(Pattern::parse("/(/"));
  // A long message costs no stack.
  CHECK_FALSE(Pattern::parse("/(a|b)*c/")->fits(std::string(1u << 20, 'a')));
}

TEST_CASE("scenario: what is malformed is told with its place") {
  CHECK_THAT(error_of("{"), has("not JSON"));
  CHECK_THAT(error_of("[]"), has("the file: not an object"));
  CHECK_THAT(error_of("{}"), has("neither steps nor tasks"));
  CHECK_THAT(error_of(R"({"steps":[],"tasks":[]})"), has("both steps and tasks"));
  CHECK_THAT(error_of(R"({"steps":7})"), has("steps: not an array (7)"));
  CHECK_THAT(error_of(R"({"steps":[{"txet":"a"}]})"), has("steps[0].txet: no such member"));
  CHECK_THAT(error_of(R"({"steps":[{"txet":"a"}]})"), has("did you mean text"));
  CHECK_THAT(error_of(R"({"steps":[{},{"text":7}]})"), has("steps[1].text: not a string (7)"));
  CHECK_THAT(error_of(R"({"steps":[{"repeat":-1}]})"), has("steps[0].repeat: not a number"));
  CHECK_THAT(error_of(R"({"steps":[{"when":"/(/"}]})"), has("steps[0].when: no regular"));
  CHECK_THAT(error_of(R"({"tasks":[{"steps":[{"calls":[{}]}]}]})"),
             has("tasks[0].steps[0].calls[0].name: missing"));
  CHECK_THAT(error_of(R"({"tasks":[{"steps":[{"usage":{"input":"x"}}]}]})"),
             has("tasks[0].steps[0].usage.input: not a number"));
  CHECK_THAT(error_of(R"({"tasks":[{"match":"/[/"}]})"), has("tasks[0].match: no regular"));
}
