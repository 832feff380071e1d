// SPDX-License-Identifier: MIT
// What is decided without a connection: addresses, keys, waits.
#include <cstdlib>
#include <filesystem>

#include "backends/http/endpoint.h"
#include "backends/http/retry.h"
#include "backends/http/secret.h"
#include "base/file.h"
#include "base/nanoseconds.h"
#include "catch.h"
#include "support/temporary.h"

using namespace agentfs;
using agentfs::http::endpoint;
using agentfs::http::Failure;
using agentfs::http::parse_retry_after;
using agentfs::http::retry_delay;
using agentfs::http::Secret;
using Catch::Matchers::has;

namespace {

std::string url(std::string_view base) {
  const auto found = endpoint(base, "/chat/completions");
  return found ? found->url : found.error().message;
}

}  // namespace

TEST_CASE("endpoint: the path goes behind the given one") {
  CHECK(url("http://h:1/v1") == "http://h:1/v1/chat/completions");
  CHECK(url("http://h:1/v1/") == "http://h:1/v1/chat/completions");
  CHECK(url("http://h:1/v1//") == "http://h:1/v1/chat/completions");
  CHECK(url("http://h:1") == "http://h:1/chat/completions");
  CHECK(url("http://h:1/") == "http://h:1/chat/completions");
  CHECK(url("https://h/openai/v1?api-version=2") ==
        "https://h/openai/v1/chat/completions?api-version=2");
  CHECK(endpoint("HTTP://Host:1/v1", "/x")->shown == "http://host:1");
}

TEST_CASE("endpoint: what cannot work is EINVAL") {
  for (const char* base : {"", "h", "ftp://h/v1", "file:///etc/passwd", "http://", "h:8080/v1",
                           "http://user:word@h/v1", "http://user@h/v1", "http://a b/v1"}) {
    const auto found = endpoint(base, "/x");
    INFO(base);
    REQUIRE_FALSE(found);
    CHECK(found.error().code == EINVAL);
    CHECK_THAT(found.error().message, !has("word@"));
  }
}

TEST_CASE("endpoint: loopback is known by its names") {
  for (const char* base : {"http://localhost:1", "http://LOCALHOST", "http://127.0.0.1",
                           "http://127.8.8.8:9", "http://[::1]:3", "http://a.localhost"}) {
    INFO(base);
    CHECK(endpoint(base, "/x")->loopback);
  }
  for (const char* base :
       {"http://128.0.0.1", "http://localhost.example.org", "http://[2001::1]"}) {
    INFO(base);
    CHECK_FALSE(endpoint(base, "/x")->loopback);
  }
}

TEST_CASE("secret: from the environment, from a file, or none") {
  ModelSettings settings;
  CHECK(Secret::read(settings)->key().empty());

  ::setenv("AGENTFS_TEST_KEY", " sk-environment\n", 1);
  settings.secret_environment = "AGENTFS_TEST_KEY";
  CHECK(Secret::read(settings)->key() == "sk-environment");
  ::unsetenv("AGENTFS_TEST_KEY");
  const auto unset = Secret::read(settings);
  REQUIRE_FALSE(unset);
  CHECK(unset.error().code == EINVAL);
  CHECK_THAT(unset.error().message, has("AGENTFS_TEST_KEY"));

  const test::TemporaryDirectory directory;
  settings.secret_file = directory.path("key");
  REQUIRE(file::replace(settings.secret_file, "sk-file\n", 0600));
  CHECK(Secret::read(settings)->key() == "sk-file");
  REQUIRE(file::replace(settings.secret_file, "two\nlines\n", 0600));
  const auto lines = Secret::read(settings);
  REQUIRE_FALSE(lines);
  CHECK(lines.error().code == EINVAL);
  CHECK_THAT(lines.error().message, !has("two"));
  REQUIRE(file::remove(settings.secret_file));
  CHECK(Secret::read(settings).error().code == EINVAL);
}

TEST_CASE("secret: no trace of it is left in a text") {
  const Secret secret("sk-abcdefgh");
  CHECK(secret.redacted("a sk-abcdefgh b sk-abcdefgh") == "a [redacted] b [redacted]");
  CHECK(secret.redacted("cut off: sk-abcd") == "cut off: [redacted]");
  CHECK(secret.redacted("sk-abcdefg") == "[redacted]");
  CHECK(secret.redacted("mask") == "mask");
  CHECK(secret.redacted("").empty());
  CHECK(Secret().redacted("text") == "text");
}

TEST_CASE("Retry-After: seconds or a date of HTTP") {
  const std::int64_t now = 1'700'000'000 * kNanoseconds;  // 2023-11-14 22:13:20 UTC
  CHECK(parse_retry_after("7", now) == 7 * kNanoseconds);
  CHECK(parse_retry_after(" 1.5 ", now) == kNanoseconds * 3 / 2);
  CHECK(parse_retry_after("Tue, 14 Nov 2023 22:13:50 GMT", now) == 30 * kNanoseconds);
  CHECK(parse_retry_after("Tuesday, 14-Nov-23 22:13:50 GMT", now) == 30 * kNanoseconds);
  CHECK(parse_retry_after("Tue, 14 Nov 2023 22:13:10 GMT", now) == 0);
  CHECK_FALSE(parse_retry_after("soon", now));
  CHECK_FALSE(parse_retry_after("-1", now));
  CHECK_FALSE(parse_retry_after("nan", now));
  CHECK_FALSE(parse_retry_after("", now));
  CHECK(*parse_retry_after("1e300", now) > 0);
}

TEST_CASE("the wait doubles, has a limit, and honours the server") {
  ModelSettings settings;
  settings.backoff_ms = 500;
  const Failure plain{{EREMOTEIO, ""}, true};
  CHECK(retry_delay(settings, 1, plain, 0) == kNanoseconds / 2);
  CHECK(retry_delay(settings, 2, plain, 0) == kNanoseconds);
  CHECK(retry_delay(settings, 3, plain, 0) == 2 * kNanoseconds);
  CHECK(retry_delay(settings, 3, plain, 1) == kNanoseconds);
  CHECK(retry_delay(settings, 1000, plain, 0) == 30 * kNanoseconds);
  const Failure asked{{EREMOTEIO, ""}, true, 7 * kNanoseconds};
  CHECK(retry_delay(settings, 5, asked, 0) == 7 * kNanoseconds);
  CHECK(retry_delay(settings, 5, asked, 1) == kNanoseconds * 77 / 10);
  const Failure at_once{{EREMOTEIO, ""}, true, 0};
  CHECK(retry_delay(settings, 1, at_once, 0) == kNanoseconds / 2);
  settings.backoff_ms = 0;
  CHECK(retry_delay(settings, 9, plain, 0) == 0);
}
