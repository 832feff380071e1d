// SPDX-License-Identifier: MIT
#include "base/read_at.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "catch.h"

namespace agentfs {

TEST_CASE("read_at() gives what there is, and less only at the end") {
  char name[] = "/tmp/agentfs-unit-XXXXXX";
  const UniqueFd fd(::mkstemp(name));
  REQUIRE(fd);
  ::unlink(name);
  REQUIRE(file::write_all(fd.get(), "0123456789"));
  CHECK(read_at(fd.get(), 2, 3).value() == "234");
  CHECK(read_at(fd.get(), 8, 5).value() == "89");
  CHECK(read_at(fd.get(), 20, 5).value().empty());
  CHECK(read_at(-1, 0, 1).error().code == EBADF);
}

}  // namespace agentfs
