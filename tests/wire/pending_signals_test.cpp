// SPDX-License-Identifier: MIT
#include "fs/fuse/pending_signals.h"

#include <unistd.h>

#include <string>

#include "base/text.h"
#include "catch.h"

namespace agentfs::test {
namespace {

std::string status_of(std::string_view own, std::string_view shared, std::string_view blocked) {
  return fmt::format(
      "Name:\tbash\nSigQ:\t2/"
      "96\nSigPnd:\t{}\nShdPnd:\t{}\nSigBlk:\t{}\nSigIgn:\t0000000000384004\n",
      own, shared, blocked);
}

}  // namespace

TEST_CASE("fuse: only a signal that ends or changes what a program does ends its request") {
  using fuse::tells_only_news;
  const std::string none = "0000000000000000";
  const std::string child = "0000000000010000";      // SIGCHLD
  const std::string window = "0000000008000000";     // SIGWINCH
  const std::string interrupt = "0000000000000002";  // SIGINT
  CHECK(tells_only_news(status_of(none, child, none)));
  CHECK(tells_only_news(status_of(window, child, none)));
  CHECK(tells_only_news(status_of(none, "0000000000010002", interrupt)));
  CHECK_FALSE(tells_only_news(status_of(none, "0000000000010002", none)));
  CHECK_FALSE(tells_only_news(status_of(interrupt, child, none)));
  CHECK_FALSE(tells_only_news(status_of(none, none, none)));
  CHECK_FALSE(tells_only_news(status_of(none, child, child)));
  CHECK_FALSE(tells_only_news("Name:\tx\nShdPnd:\tnot a number\n"));
  CHECK_FALSE(tells_only_news(""));
  CHECK_FALSE(fuse::is_interrupted_by_news(0));
  CHECK_FALSE(fuse::is_interrupted_by_news(::getpid()));
}

}  // namespace agentfs::test
