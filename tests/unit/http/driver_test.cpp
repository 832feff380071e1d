// SPDX-License-Identifier: MIT
// What goes well, and what is refused for good.
#include <atomic>
#include <cstdlib>
#include <memory>
#include <thread>

#include "catch.h"
#include "http_fixture.h"

using namespace agentfs;
using namespace agentfs::testing;
using Catch::Matchers::has;
using Kind = ModelProgress::Kind;

TEST_CASE("http: a streamed text, split at every byte") {
  Pair pair({Response::stream_split(text_body("Hello, w\xC3\xB6rld \xF0\x9F\x98\x80!"))});
  ChatCall call(pair.driver, pair.request());
  const auto reply = call.wait();
  REQUIRE(reply);
  CHECK(reply->text == "Hello, w\xC3\xB6rld \xF0\x9F\x98\x80!");
  CHECK(reply->usage.input == 10);
  CHECK(reply->attempts == 1);
  CHECK(reply->model == "test-model");
  std::string told;
  for (const std::string& text : call.texts(Kind::text)) told += text;
  CHECK(told == reply->text);

  const Request seen = pair.server.requests().at(0);
  CHECK(seen.method == "POST");
  CHECK(seen.target == "/v1/chat/completions");
  CHECK(seen.header("content-type") == "application/json");
  CHECK(seen.header("authorization").empty());
  CHECK(seen.parsed["model"].text() == "test-model");
  CHECK(seen.parsed["messages"].array()->size() == 1);
  CHECK(seen.parsed["stream"].truth());
}

TEST_CASE("http: parallel calls, split at every byte") {
  const std::vector<ToolCall> calls = {{"a", "read", R"({"path":"main.c","first":1})"},
                                       {"b", "exec", R"({"command":"make"})"}};
  Pair pair({Response::stream_split(calls_body(calls, "Let me see."))});
  ChatCall call(pair.driver, pair.request());
  const auto reply = call.wait();
  REQUIRE(reply);
  CHECK(reply->text == "Let me see.");
  REQUIRE(reply->calls.size() == 2);
  CHECK(reply->calls[0].arguments == calls[0].arguments);
  CHECK(reply->calls[1].arguments == calls[1].arguments);
  CHECK(reply->finish_reason == "tool_calls");
  CHECK(call.texts(Kind::call) == std::vector<std::string>{"read", "exec"});
}

TEST_CASE("http: text is told as it comes, not at the end") {
  auto gate = std::make_shared<Gate>();
  Pair pair({Response::stream_pieces(
      {{delta_event(json::Object{{"content", "first"}})}, {text_body(" second"), gate}})});
  ChatCall call(pair.driver, pair.request());
  REQUIRE(call.wait_for(Kind::text));
  CHECK(call.texts(Kind::text) == std::vector<std::string>{"first"});
  CHECK_FALSE(call.answered());
  gate->open();
  CHECK(call.wait()->text == "first second");
}

TEST_CASE("http: answers that are no stream") {
  Pair pair({Response::json(whole_reply("whole", {{"a", "read", "{}"}}))});
  const auto asked = pair.ask();  // a stream was asked for
  REQUIRE(asked);
  CHECK(asked->text == "whole");
  CHECK(asked->calls.size() == 1);
  ChatRequest request = pair.request();
  request.settings.stream = false;
  CHECK(pair.ask(request)->text == "whole");
  CHECK_FALSE(pair.server.requests().at(1).parsed["stream"].truth(true));
}

TEST_CASE("http: the kind of an answer without a content type is found from its bytes") {
  Response stream;
  stream.pieces = {{"\n"}, {": comment\n\n"}, {text_body("streamed")}};
  Response whole;
  whole.pieces = {{"  "}, {json::dump(whole_reply("whole"))}};
  whole.framing = Response::Framing::close;
  Pair pair({stream, whole});
  CHECK(pair.ask()->text == "streamed");
  CHECK(pair.ask()->text == "whole");
}

TEST_CASE("http: a stream without [DONE], or that is not closed after it, is whole") {
  std::string body = text_body("hi");
  const std::string without = body.substr(0, body.find("data: [DONE]"));
  Pair pair({Response::stream(without), Response::stream(without).ending(Response::End::cut),
             Response::stream(body).ending(Response::End::hang)});
  for (int i = 0; i < 3; ++i) {
    const auto reply = pair.ask();
    REQUIRE(reply);
    CHECK(reply->text == "hi");
    CHECK(reply->attempts == 1);
  }
}

TEST_CASE("http: a status that does not pass is told at once, in the server's words") {
  const auto [status, code] =
      GENERATE(std::pair{400, EREMOTEIO}, std::pair{401, EACCES}, std::pair{403, EACCES},
               std::pair{404, EREMOTEIO}, std::pair{422, EREMOTEIO});
  Pair pair({Response::error(status, "model not found")});
  const auto reply = pair.ask();
  REQUIRE_FALSE(reply);
  CHECK(reply.error().code == code);
  CHECK_THAT(reply.error().message, has("model test: http://127.0.0.1:"));
  CHECK_THAT(reply.error().message, has(fmt::format("answered {}: model not found", status)));
  CHECK(pair.server.requests().size() == 1);
}

TEST_CASE("http: redirects are not followed") {
  FaultServer elsewhere({Response::stream(text_body("stolen"))});
  Pair pair({Response::error(307, "").with("Location", elsewhere.base_url())});
  const auto reply = pair.ask();
  REQUIRE_FALSE(reply);
  CHECK(reply.error().code == EREMOTEIO);
  CHECK(elsewhere.requests().empty());
}

TEST_CASE("http: what is no API is told as such") {
  Response page;
  page.headers = {{"Content-Type", "text/html"}};
  page.pieces = {{"<html>Welcome</html>"}};
  Pair pair(
      {page, Response::garbage("SSH-2.0-OpenSSH_9.2\r\n"), Response::stream("data: {oops\n\n")});
  const auto html = pair.ask();
  CHECK(html.error().code == EBADMSG);
  CHECK_THAT(html.error().message, has("<html>Welcome"));
  CHECK(pair.ask().error().code == EBADMSG);
  const auto malformed = pair.ask();
  CHECK(malformed.error().code == EBADMSG);
  CHECK_THAT(malformed.error().message, has("{oops"));
  CHECK(pair.server.requests().size() == 3);
}

TEST_CASE("http: an answer beyond the limit is EBADMSG") {
  Pair pair({Response::json(whole_reply(std::string(2u << 20, 'x'))),
             Response::stream("data: " + std::string(2u << 20, 'x')),
             Response::error(400, std::string(64u << 10, 'y'))});
  CHECK(pair.ask().error().code == EBADMSG);
  CHECK(pair.ask().error().code == EBADMSG);
  const auto refused = pair.ask();
  CHECK(refused.error().code == EREMOTEIO);
  CHECK(refused.error().message.size() < 500);
}

TEST_CASE("http: the key is sent, read anew at each request, and in no sentence") {
  Pair pair([](const Request& request) {
    const std::string echo = "bad: " + request.header("authorization");
    if (request.number == 1) return Response::error(401, echo);
    if (request.number == 2) return Response::error(500, echo);
    if (request.number == 3) return Response::stream("data: {" + echo + "\n\n");
    if (request.number == 4) return Response::json(json::Object{{"oops", echo}});
    Response cut;  // the key lies across the end of what is kept of an error's body
    cut.status = 400;
    cut.pieces = {{std::string(4080, ' ') + echo}};
    return cut;
  });
  ChatRequest request = pair.request();
  request.settings.secret_environment = "AGENTFS_TEST_KEY";
  ::setenv("AGENTFS_TEST_KEY", "sk-very-secret-0123456789", 1);
  const auto clean = [](const std::string& sentence) {
    CHECK_THAT(sentence, !has("sk-v"));
    CHECK_THAT(sentence, has("[redacted]"));
  };
  clean(pair.ask(request).error().message);
  ChatCall retried(pair.driver, request);  // the second and third request
  clean(retried.wait().error().message);
  clean(retried.texts(Kind::retry).at(0));
  clean(pair.ask(request).error().message);
  clean(pair.ask(request).error().message);
  ::setenv("AGENTFS_TEST_KEY", "sk-another", 1);
  CHECK_FALSE(pair.ask(request));
  ::unsetenv("AGENTFS_TEST_KEY");
  CHECK(pair.server.requests().at(0).header("authorization") == "Bearer sk-very-secret-0123456789");
  CHECK(pair.server.requests().back().header("authorization") == "Bearer sk-another");
  CHECK(pair.ask(request).error().code == EINVAL);
}

TEST_CASE("http: settings that cannot work are EINVAL") {
  Pair pair({Response::stream(text_body("hi"))});
  ChatRequest request = pair.request();
  request.settings.base_url = "gopher://127.0.0.1/";
  const auto address = pair.ask(request);
  CHECK(address.error().code == EINVAL);
  CHECK_THAT(address.error().message, has("model test: base_url"));
  request = pair.request();
  request.settings.idle_timeout_ms = 0;
  CHECK(pair.ask(request).error().code == EINVAL);
  request = pair.request();
  request.settings.secret_file = "/nonexistent/key";
  CHECK(pair.ask(request).error().code == EINVAL);
  CHECK(pair.server.requests().empty());
}

TEST_CASE("http: a proxy of the environment is never used for loopback") {
  Pair pair({Response::stream(text_body("direct"))});
  const std::string nowhere = fmt::format("http://127.0.0.1:{}", unused_port());
  ::setenv("http_proxy", nowhere.c_str(), 1);
  ::setenv("ALL_PROXY", nowhere.c_str(), 1);
  const auto reply = pair.ask();
  ::unsetenv("http_proxy");
  ::unsetenv("ALL_PROXY");
  REQUIRE(reply);
  CHECK(reply->text == "direct");
}

TEST_CASE("http: many requests from many threads share the driver's one") {
  std::atomic<int> good = 0;
  Pair pair([](const Request& request) {
    return Response::stream(text_body((*request.parsed["messages"].array())[0]["content"].text()));
  });
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 10; ++i) {
        ChatRequest request = pair.request();
        const std::string text = fmt::format("{} {}", t, i);
        request.messages = {json::Object{{"role", "user"}, {"content", text}}};
        const auto reply = pair.ask(request);
        if (reply && reply->text == text) ++good;
      }
    });
  }
  threads.clear();
  CHECK(good == 40);
}
