// SPDX-License-Identifier: MIT
#include "base/json.h"

#include "catch.h"

namespace agentfs {
namespace {

using Catch::Matchers::has;

TEST_CASE("what is written is read back as it was") {
  const json::Value value = json::Object{{"text", "a\"\\\n\t\x01gr\xC3\xBC"},
                                         {"whole", std::int64_t{-9'007'199'254'740'993}},
                                         {"real", 0.5},
                                         {"list", json::Array{true, nullptr, json::Object{}}}};
  const auto compact = json::parse(json::dump(value));
  REQUIRE(compact);
  CHECK(*compact == value);
  const auto pretty = json::parse(json::dump_pretty(value));
  REQUIRE(pretty);
  CHECK(*pretty == value);
}

TEST_CASE("bytes that are no UTF-8 are written as replacement characters") {
  const auto read = json::parse(json::dump(json::Value(std::string("a\xFFz"))));
  REQUIRE(read);
  CHECK(read->text() == "a\xEF\xBF\xBDz");
}

TEST_CASE("what is no JSON is refused with a sentence, whatever it is") {
  for (const std::string_view bad : {"", "{", "[1,]", "{\"a\":}", "nul", "1 2", "\"\x01\""}) {
    const auto read = json::parse(bad);
    REQUIRE_FALSE(read);
    CHECK(read.error().code == EBADMSG);
    CHECK_THAT(read.error().message, has("json: "));
  }
  CHECK_FALSE(json::parse(std::string(10'000, '[')));
}

TEST_CASE("members are asked for without fear") {
  const auto value = json::parse(R"({"a":{"b":7,"c":"x"},"d":2.0})");
  REQUIRE(value);
  CHECK((*value)["a"]["b"].number() == 7);
  CHECK((*value)["a"]["nothing"]["at all"].is_null());
  CHECK((*value)["a"]["c"].number(-1) == -1);
  CHECK((*value)["d"].number() == 2);
  CHECK((*value)["a"]["b"].real() == 7.0);
  json::Value made;
  made.set("x", 1).set("y", 2).set("x", 3);
  CHECK(json::dump(made) == R"({"x":3,"y":2})");
}

TEST_CASE("an object that is written member by member is that of a tree") {
  const std::string odd = "\"a\\b\n\x01 z\x1f";
  std::string out = ">";
  json::ObjectWriter writer(out);
  writer.number("n", -7);
  writer.text("t", odd);
  writer.text_if_any("none", "");
  writer.text_if_any("some", "x");
  json::append(writer.member("tree"), json::Array{1, true, nullptr});
  writer.end();
  const json::Value tree =
      json::Object{{"n", -7}, {"t", odd}, {"some", "x"}, {"tree", json::Array{1, true, nullptr}}};
  REQUIRE(out.starts_with('>'));
  const std::string object = out.substr(1);
  CHECK(object == json::dump(tree));
  CHECK(json::parse(object).value() == tree);
  std::string empty;
  json::ObjectWriter(empty).end();
  CHECK(empty == "{}");
}

TEST_CASE("Bytes that are no text come back as they were") {
  json::Value value;
  const std::string odd = "/a\xFF";
  json::set_bytes(value, "path", odd);
  json::set_bytes(value, "other", "/b");
  CHECK(json::bytes_of(value, "path") == odd);
  CHECK(json::bytes_of(value, "other") == "/b");
  CHECK(value["other_hex"].text().empty());
  CHECK(json::bytes_of(value, "none").empty());
}

}  // namespace
}  // namespace agentfs
