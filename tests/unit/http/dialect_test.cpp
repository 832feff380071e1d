// SPDX-License-Identifier: MIT
// Servers that take a request in another form only, and accounts that are empty.
#include "backends/http/dialect.h"

#include "catch.h"
#include "http_fixture.h"

using namespace agentfs;
using namespace agentfs::testing;
using Catch::Matchers::has;
using Kind = ModelProgress::Kind;

namespace {

constexpr std::string_view kNoMaxTokens =
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
    "'max_completion_tokens' instead.";

Response good() { return Response::stream(text_body("good")); }

// As a reasoning model of OpenAI's answers, and one that has never heard of stream_options.
Response strict(const Request& request) {
  if (!request.parsed["max_tokens"].is_null()) return Response::error(400, kNoMaxTokens);
  if (!request.parsed["stream_options"].is_null()) {
    return Response::json(
        *json::parse(R"({"detail":[{"type":"extra_forbidden","loc":["body","stream_options"]}]})"),
        422);
  }
  return good();
}

Response spent(std::string_view member) {
  json::Value error = json::Object{{"message", "You exceeded your current quota"}};
  error.set(std::string(member), "insufficient_quota");
  return Response::json(json::Object{{"error", std::move(error)}}, 429);
}

}  // namespace

TEST_CASE("http: a refused member is left out or called otherwise, once for each model") {
  Pair pair(strict);
  ChatRequest request = pair.request();
  request.settings.max_output_tokens = 100;
  request.settings.max_attempts = 1;  // a form is no attempt that failed
  ChatCall call(pair.driver, request);
  const auto reply = call.wait();
  REQUIRE(reply);
  CHECK(reply->text == "good");
  auto requests = pair.server.requests();
  REQUIRE(requests.size() == 3);
  CHECK(requests[0].parsed["max_tokens"].number() == 100);
  CHECK(requests[1].parsed["max_completion_tokens"].number() == 100);
  CHECK(requests[1].parsed["max_tokens"].is_null());
  CHECK_FALSE(requests[1].parsed["stream_options"].is_null());
  CHECK(requests[2].parsed["stream_options"].is_null());
  const auto told = call.texts(Kind::retry);
  REQUIRE(told.size() == 2);
  CHECK_THAT(told[0], has("max_completion_tokens") && has("asked again"));

  REQUIRE(pair.ask(request));
  CHECK(pair.server.requests().size() == 4);  // remembered
  request.settings.model = "another-model";
  REQUIRE(pair.ask(request));
  CHECK(pair.server.requests().size() == 7);
}

TEST_CASE("http: a form that is refused as well is not asked in again, nor remembered") {
  Pair pair({Response::error(400, kNoMaxTokens)});
  ChatRequest request = pair.request();
  request.settings.max_output_tokens = 100;
  for (const std::size_t requests : {2U, 4U}) {
    const auto reply = pair.ask(request);
    REQUIRE_FALSE(reply);
    CHECK(reply.error().code == EREMOTEIO);
    CHECK_THAT(reply.error().message, has("max_completion_tokens"));
    CHECK(pair.server.requests().size() == requests);
  }
}

TEST_CASE("http: a member that was not sent is no reason to ask again") {
  Pair pair({Response::error(400, kNoMaxTokens)});
  REQUIRE_FALSE(pair.ask());
  CHECK(pair.server.requests().size() == 1);
}

TEST_CASE("http: the other form follows from the names in the answer") {
  using http::Dialect;
  using http::other_form;
  CHECK(other_form(kNoMaxTokens, {})->completion_tokens);
  CHECK_FALSE(other_form("Unrecognized request argument: stream_options", {})->stream_options);
  CHECK_FALSE(other_form(kNoMaxTokens, {.completion_tokens = true, .stream_options = true}));
  CHECK_FALSE(other_form("max_tokens is too large: 4096", {}));
  CHECK_FALSE(other_form("", {}));
}

TEST_CASE("http: an account whose quota is spent is not asked again") {
  const std::string member = GENERATE("code", "type");
  Pair pair({spent(member), good()});
  const auto reply = pair.ask();
  REQUIRE_FALSE(reply);
  CHECK(reply.error().code == EREMOTEIO);
  CHECK_THAT(reply.error().message, has("429: You exceeded your current quota") &&
                                        has("insufficient_quota") && has("would do"));
  CHECK(pair.server.requests().size() == 1);
}
