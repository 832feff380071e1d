// SPDX-License-Identifier: MIT
#include "base/file_times.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/file_clock.h"
#include "catch.h"
#include "support/temporary.h"

namespace agentfs {
namespace {

struct stat look(int file) {
  struct stat seen{};
  REQUIRE(::fstat(file, &seen) == 0);
  return seen;
}

bool is_same(const timespec& one, const timespec& other) {
  return nanoseconds_of(one) == nanoseconds_of(other);
}

}  // namespace

TEST_CASE("a time tells of the next change once the clock has passed it") {
  struct stat seen{};  // of a disk that nobody has asked about
  seen.st_ctim = file_clock();
  seen.st_ctim.tv_sec += 1;  // has yet to come
  CHECK_FALSE(tells_changes(seen));
  seen.st_ctim = file_clock();
  seen.st_ctim.tv_nsec = 0;  // of one that may keep whole seconds
  CHECK_FALSE(tells_changes(seen));
  seen.st_ctim.tv_sec -= 10;
  CHECK(tells_changes(seen));
  seen.st_ctim = file_clock();
  seen.st_ctim.tv_sec += 3600;  // of a clock that was set back
  CHECK(tells_changes(seen));
  seen.st_mtim = file_clock();
  seen.st_mtim.tv_sec += 1;
  CHECK_FALSE(tells_writes(seen));
}

TEST_CASE("what is said to tell of the next change does, on the disk that is at hand") {
  const test::TemporaryDirectory place;
  const UniqueFd directory(::open(place.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  learn_times(directory.get());
  const UniqueFd file(::open(place.path("f").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  int wrong = 0;
  for (int i = 0; i < 300; ++i) {
    REQUIRE(::pwrite(file.get(), &i, sizeof(i), 0) == sizeof(i));
    const struct stat before = look(file.get());
    const bool tells = tells_changes(before) && tells_writes(before);
    REQUIRE(::pwrite(file.get(), &i, sizeof(i), 0) == sizeof(i));
    const struct stat after = look(file.get());
    const bool has_moved =
        !is_same(before.st_ctim, after.st_ctim) && !is_same(before.st_mtim, after.st_mtim);
    if (tells && !has_moved) ++wrong;
  }
  CHECK(wrong == 0);
  const struct stat last = look(file.get());
  await_telling(last);
  CHECK(tells_changes(last));
}

}  // namespace agentfs
