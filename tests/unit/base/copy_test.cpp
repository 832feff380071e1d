// SPDX-License-Identifier: MIT
#include "base/copy.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "catch.h"

namespace agentfs {
namespace {

UniqueFd sparse(off_t size, off_t at, std::string_view bytes) {
  char name[] = "/tmp/agentfs-unit-XXXXXX";
  UniqueFd fd(::mkstemp(name));
  REQUIRE(fd);
  ::unlink(name);
  REQUIRE(::ftruncate(fd.get(), size) == 0);
  const auto put = ::pwrite(fd.get(), bytes.data(), bytes.size(), at);
  REQUIRE(put == static_cast<ssize_t>(bytes.size()));
  return fd;
}

}  // namespace

TEST_CASE("Files are compared without their holes being read, and a hole is as good as zeros") {
  constexpr off_t kSize = off_t{1} << 40;
  constexpr off_t kPlace = off_t{1} << 39;
  const UniqueFd one = sparse(kSize, kPlace, "bytes");
  CHECK(same_bytes(one.get(), sparse(kSize, kPlace, "bytes").get()).value());
  CHECK_FALSE(same_bytes(one.get(), sparse(kSize, kPlace, "Bytes").get()).value());
  CHECK_FALSE(same_bytes(one.get(), sparse(kSize, kPlace + 8192, "bytes").get()).value());
  CHECK_FALSE(same_bytes(one.get(), sparse(kSize + 1, kPlace, "bytes").get()).value());
  const UniqueFd hole = sparse(100'000, 0, "");
  CHECK(same_bytes(hole.get(), sparse(100'000, 50'000, std::string(100, '\0')).get()).value());
  CHECK(same_bytes(sparse(0, 0, "").get(), sparse(0, 0, "").get()).value());
}

}  // namespace agentfs
