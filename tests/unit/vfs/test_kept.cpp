// SPDX-License-Identifier: MIT
// What one open that may write has kept of a file.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/past/past.h"
#include "backends/trees/trees.h"
#include "base/file_times.h"
#include "fs/vfs/past_keeper.h"
#include "support/temporary.h"
#include "test_tree.h"

namespace agentfs::vfs {
namespace {

struct KeepingServices final : FakeServices {
  bool keeps_history() override { return true; }
  std::string why_not_kept(std::uint64_t, bool) override { return {}; }
};

// A write of three bytes to it that begins; what it keeps is judged once `meanwhile` is over.
bool is_kept_after(int file, const std::function<void(int file)>& meanwhile) {
  const test::TemporaryDirectory place;
  KeepingServices services;
  const auto store = *open_tree_store(place.path());
  const auto past = *open_past(place.path("past"));
  PastKeeper past_keeper(services, *store, past.get());
  WriteKeeper keeper;
  REQUIRE(keeper.before_write(past_keeper, file, [] { return std::string("/w/f"); }, 0));
  meanwhile(file);
  return keeper.take_unneeded(file).row.is_null();
}

// The same of one whose time of change tells of the next.
bool is_kept_after(const std::function<void(int file)>& meanwhile) {
  const test::TemporaryDirectory place;
  test::spit(place.path("f"), "one");
  const UniqueFd file(::open(place.path("f").c_str(), O_RDWR | O_CLOEXEC));
  struct stat seen{};
  REQUIRE(::fstat(file.get(), &seen) == 0);
  await_telling(seen);
  return is_kept_after(file.get(), meanwhile);
}

}  // namespace

TEST_CASE("what was kept before a change that was refused is dropped") {
  CHECK_FALSE(is_kept_after([](int) {}));
}

TEST_CASE("what another writer changed meanwhile is kept, also where it set the time back") {
  const auto write_unseen = [](int file) {
    struct stat before{};
    REQUIRE(::fstat(file, &before) == 0);
    REQUIRE(::pwrite(file, "two", 3, 0) == 3);
    const timespec times[2] = {before.st_atim, before.st_mtim};
    REQUIRE(::futimens(file, times) == 0);
  };
  CHECK(is_kept_after(write_unseen));
}

TEST_CASE("what was kept is not dropped where the time of change cannot tell of a change yet") {
  const UniqueFd file(::memfd_create("of a disk that nobody has asked about", MFD_CLOEXEC));
  REQUIRE(::pwrite(file.get(), "one", 3, 0) == 3);
  CHECK(is_kept_after(file.get(), [](int) {}));
}

}  // namespace agentfs::vfs
