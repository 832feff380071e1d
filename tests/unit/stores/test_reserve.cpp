// SPDX-License-Identifier: MIT
#include <sys/stat.h>

#include "base/reserve.h"
#include "catch.h"
#include "support/temporary.h"

namespace agentfs::segments {
namespace {

std::int64_t blocks_of(const std::string& path) {
  struct stat found{};
  return ::stat(path.c_str(), &found) == 0 ? std::int64_t{found.st_blocks} * 512 : -1;
}

TEST_CASE("a reserve holds its space and gives it up piece by piece") {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("reserve");
  Reserve reserve(path);
  CHECK(reserve.size() == 0);
  CHECK_FALSE(reserve.release(1));
  reserve.fill();
  if (reserve.size() == 0) return;  // a file system without fallocate has no reserve
  CHECK(reserve.size() == Reserve::kFull);
  CHECK(blocks_of(path) >= Reserve::kFull);

  REQUIRE(reserve.release(100));
  const std::int64_t less = reserve.size();
  CHECK(less < Reserve::kFull);
  CHECK(less > Reserve::kFull / 2);
  CHECK(blocks_of(path) < Reserve::kFull);
  REQUIRE(reserve.release(300'000));
  CHECK(reserve.size() <= less - 300'000);
  int releases = 0;
  while (reserve.release(1)) ++releases;
  CHECK(releases > 2);
  CHECK(reserve.size() == 0);
  reserve.fill();
  CHECK(reserve.size() == Reserve::kFull);
}

TEST_CASE("a reserve goes on with what an earlier daemon left of it") {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("reserve");
  {
    Reserve earlier(path);
    earlier.fill();
    earlier.release(500'000);
  }
  Reserve reserve(path);
  reserve.fill();
  if (reserve.size() == 0) return;
  CHECK(reserve.size() == Reserve::kFull);
  CHECK(blocks_of(path) >= Reserve::kFull);
}

TEST_CASE("without a place for it there is no reserve, and no error") {
  Reserve reserve("/nowhere/at/all/reserve");
  reserve.fill();
  CHECK(reserve.size() == 0);
  CHECK_FALSE(reserve.release(1));
}

}  // namespace
}  // namespace agentfs::segments
