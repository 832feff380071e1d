// SPDX-License-Identifier: MIT
// What is tried again, what takes too long, and what nobody waits for any more.
#include <memory>

#include "base/nanoseconds.h"
#include "catch.h"
#include "http_fixture.h"

using namespace agentfs;
using namespace agentfs::testing;
using Catch::Matchers::has;
using Kind = ModelProgress::Kind;

namespace {

Response good_reply() { return Response::stream(text_body("good")); }

Response half(Response::End how) {
  return Response::stream(delta_event(json::Object{{"content", "half"}})).ending(how);
}

}  // namespace

TEST_CASE("http: a status that may pass is tried again") {
  const int status = GENERATE(408, 409, 429, 500, 502, 503, 529);
  Pair pair({Response::error(status, "busy"), Response::error(status, "busy"), good_reply()});
  ChatCall call(pair.driver, pair.request());
  const auto reply = call.wait();
  REQUIRE(reply);
  CHECK(reply->text == "good");
  CHECK(reply->attempts == 3);
  const auto told = call.texts(Kind::retry);
  REQUIRE(told.size() == 2);
  CHECK_THAT(told[0], has(fmt::format("answered {}: busy; attempt 2 of 6", status)));
  CHECK_THAT(told[1], has("attempt 3 of 6"));
}

TEST_CASE("http: attempts come to an end") {
  Pair pair({Response::error(429, "slow down")});
  const auto reply = pair.ask();
  REQUIRE_FALSE(reply);
  CHECK(reply.error().code == EREMOTEIO);
  CHECK_THAT(reply.error().message, has("429: slow down (attempt 6)"));
  CHECK(pair.server.requests().size() == 6);
}

TEST_CASE("http: a stream that breaks is begun anew, and the retry says that") {
  const auto how = GENERATE(Response::End::cut, Response::End::reset, Response::End::keep);
  Pair pair({half(how), good_reply()});
  ChatCall call(pair.driver, pair.request());
  const auto reply = call.wait();
  REQUIRE(reply);
  CHECK(reply->text == "good");
  CHECK(reply->attempts == 2);
  // All after the last retry is the reply.
  std::string text;
  bool retried = false;
  for (const ModelProgress& piece : call.progress()) {
    if (piece.kind == Kind::retry) {
      text.clear();
      retried = true;
    } else {
      text += piece.text;
    }
  }
  CHECK(retried);
  CHECK(text == "good");
}

TEST_CASE("http: connections that end before an answer are tried again") {
  Pair pair({Response::garbage(""), Response::garbage("").ending(Response::End::reset),
             Response::json(whole_reply("cut")).ending(Response::End::cut), good_reply()});
  const auto reply = pair.ask();
  REQUIRE(reply);
  CHECK(reply->text == "good");
}

TEST_CASE("http: a stream that is always cut ends as EREMOTEIO") {
  Pair pair({half(Response::End::keep)});
  ChatRequest request = pair.request();
  request.settings.max_attempts = 2;
  const auto reply = pair.ask(request);
  REQUIRE_FALSE(reply);
  CHECK(reply.error().code == EREMOTEIO);
  CHECK_THAT(reply.error().message, has("ended before the reply did"));
  CHECK(pair.server.requests().size() == 2);
}

TEST_CASE("http: an error within the stream is tried again where it may pass") {
  Pair pair({Response::stream(delta_event(json::Object{{"content", "half"}}) +
                              event(json::Object{{"error", json::Object{{"code", 503}}}})),
             Response::stream("event: error\ndata: {\"message\":\"out of luck\"}\n\n")});
  const auto reply = pair.ask();
  REQUIRE_FALSE(reply);
  CHECK(reply.error().code == EREMOTEIO);
  CHECK_THAT(reply.error().message, has("out of luck"));
  CHECK(pair.server.requests().size() == 2);
}

TEST_CASE("http: where nobody listens it is EHOSTDOWN, after all attempts") {
  SystemClock clock;
  HttpModelDriver driver(clock);
  ChatRequest request = request_to(fmt::format("http://127.0.0.1:{}/v1", unused_port()));
  request.settings.max_attempts = 3;
  ChatCall call(driver, request);
  const auto reply = call.wait();
  REQUIRE_FALSE(reply);
  CHECK(reply.error().code == EHOSTDOWN);
  CHECK(call.texts(Kind::retry).size() == 2);
}

TEST_CASE("http: Retry-After is waited for, by the driver's clock") {
  const std::string value = GENERATE("7", "Tue, 14 Nov 2023 22:13:27 GMT");
  FaultServer server({Response::error(429, "slow").with("Retry-After", value), good_reply()});
  FakeClock clock(1'700'000'000 * kNanoseconds);
  HttpModelDriver driver(clock, {.random = [] { return 0.0; }});
  ChatCall call(driver, request_to(server.base_url()));
  REQUIRE(call.wait_for(Kind::retry));
  CHECK_THAT(call.texts(Kind::retry)[0], has("attempt 2 of 6 in 7.0 s"));
  clock.advance(7 * kNanoseconds - 1);
  driver.wake();
  CHECK(server.requests().size() == 1);
  clock.advance(1);
  driver.wake();
  const auto reply = call.wait();
  REQUIRE(reply);
  CHECK(reply->attempts == 2);
}

TEST_CASE("http: a wait beyond the total time is not begun") {
  Pair pair({Response::error(429, "slow").with("Retry-After", "3600")});
  const auto reply = pair.ask();
  REQUIRE_FALSE(reply);
  CHECK(reply.error().code == EREMOTEIO);
  CHECK_THAT(reply.error().message,
             has("(3600 s) is longer than what is left of total_timeout_ms"));
  CHECK(pair.server.requests().size() == 1);
}

TEST_CASE("http: a server that falls silent is left after the idle time") {
  const bool within = GENERATE(true, false);
  Pair pair({within ? half(Response::End::hang) : Response::never(), good_reply()});
  ChatRequest request = pair.request();
  request.settings.idle_timeout_ms = 50;
  ChatCall call(pair.driver, request);
  const auto reply = call.wait();
  REQUIRE(reply);
  CHECK(reply->text == "good");
  CHECK_THAT(call.texts(Kind::retry).at(0), has("no byte for idle_timeout_ms (50 ms)"));
  request.settings.max_attempts = 1;
  Pair silent({Response::never()});
  request.settings.base_url = silent.server.base_url();
  CHECK(silent.ask(request).error().code == ETIMEDOUT);
}

TEST_CASE("http: bytes keep a slow answer alive") {
  const std::string piece = delta_event(json::Object{{"content", "x"}});
  const std::vector<std::shared_ptr<Gate>> gates = {std::make_shared<Gate>(),
                                                    std::make_shared<Gate>()};
  FaultServer server(
      {Response::stream_pieces({{piece}, {piece, gates[0]}, {text_body("end"), gates[1]}})});
  FakeClock clock;
  HttpModelDriver driver(clock);
  ChatRequest request = request_to(server.base_url());
  request.settings.idle_timeout_ms = 1000;
  ChatCall call(driver, request);
  for (std::size_t i = 0; i < gates.size(); ++i) {
    REQUIRE(call.wait_for(Kind::text, i + 1));
    clock.advance(kNanoseconds * 9 / 10);
    driver.wake();
    gates[i]->open();
  }
  const auto reply = call.wait();
  REQUIRE(reply);
  CHECK(reply->text == "xxend");
  CHECK(reply->attempts == 1);
}

TEST_CASE("http: the total time ends an answer that does not") {
  auto gate = std::make_shared<Gate>();
  FaultServer server({Response::stream_pieces({{": ping\n\n"}, {text_body("late"), gate}})});
  FakeClock clock;
  HttpModelDriver driver(clock);
  ChatRequest request = request_to(server.base_url());
  request.settings.total_timeout_ms = 5000;
  ChatCall call(driver, request);
  REQUIRE(server.wait_for_requests(1));
  clock.advance(5 * kNanoseconds);
  driver.wake();
  const auto reply = call.wait();
  REQUIRE_FALSE(reply);
  CHECK(reply.error().code == ETIMEDOUT);
  CHECK_THAT(reply.error().message, has("no answer within total_timeout_ms (5000 ms)"));
  CHECK(server.wait_for_abandoned(1));
}

TEST_CASE("http: a cancel in flight ends the request and its connection") {
  const bool within = GENERATE(true, false);
  Pair pair({within ? half(Response::End::hang) : Response::never()});
  ChatCall call(pair.driver, pair.request());
  REQUIRE((within ? call.wait_for(Kind::text) : pair.server.wait_for_requests(1)));
  call.cancel();
  const auto reply = call.wait();
  REQUIRE_FALSE(reply);
  CHECK(reply.error().code == EINTR);
  CHECK(pair.server.wait_for_abandoned(1));
}

TEST_CASE("http: a cancel while waiting for the next attempt") {
  Pair pair({Response::error(503, "later").with("Retry-After", "600")});
  ChatCall call(pair.driver, pair.request());
  REQUIRE(call.wait_for(Kind::retry));
  call.cancel();
  CHECK(call.wait().error().code == EINTR);
  CHECK(pair.server.requests().size() == 1);
}

TEST_CASE("http: a cancel that comes before the start") {
  Pair pair({good_reply()});
  Result<ChatReply> result;
  Completion<ChatReply> done([&](Result<ChatReply> answer) { result = std::move(answer); });
  done.cancel();
  {
    HttpModelDriver driver(pair.clock);
    driver.start(pair.request(), nullptr, done);
  }
  REQUIRE_FALSE(result);
  CHECK(result.error().code == EINTR);
}

TEST_CASE("http: the driver's end is the end of what is under way") {
  FaultServer server({Response::never()});
  SystemClock clock;
  auto driver = std::make_unique<HttpModelDriver>(clock);
  ChatCall first(*driver, request_to(server.base_url()));
  ChatCall second(*driver, request_to(server.base_url()));
  REQUIRE(server.wait_for_requests(2));
  driver.reset();
  CHECK(first.wait().error().code == EINTR);
  CHECK(second.wait().error().code == EINTR);
  first.cancel();  // the driver is gone: nothing to do
}
