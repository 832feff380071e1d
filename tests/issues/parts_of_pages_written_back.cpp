// SPDX-License-Identifier: MIT
// Of pages that are written back the host's kernel is told an error where the disk took a part of
// them. That part was in the file, and no row told of it: the file had the generation of before.
#include <fcntl.h>
#include <sys/resource.h>

#include <csignal>

#include "catch.h"
#include "kernel/fold.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

const std::string kTable = "/workspaces/site/table";

// No file of this process grows, or is written, beyond it: a disk that takes a part.
class SizeLimit {
 public:
  explicit SizeLimit(rlim_t most) : old_signal_(::signal(SIGXFSZ, SIG_IGN)) {
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &before_) == 0);
    const rlimit now{most, before_.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &now) == 0);
  }
  ~SizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, old_signal_);
  }
  SizeLimit(const SizeLimit&) = delete;
  SizeLimit& operator=(const SizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*old_signal_)(int);
};

std::uint64_t generation(TreeWorld& world) {
  std::uint64_t number = 0;
  world.kernel().look_at_fold(
      [&](const Fold& fold) { number = fold.generations().of(kTable).number.value; });
  return number;
}

TEST_CASE("A part of what was written back is told, also where the rest is an error") {
  TreeWorld world;
  constexpr off_t kLimit = off_t{32} << 20U;
  constexpr off_t kPart = 4096;
  REQUIRE(world.files().write(world.request().caller(), kTable, "x"));
  const auto node = world.get(kTable);
  const auto opened = node->open(world.request(), O_RDWR);
  REQUIRE(opened);
  SetAttributes size{.which = SetAttributes::size};
  size.values.st_size = 2 * kLimit;
  REQUIRE(node->set_attributes(world.request(), opened->handle.get(), size));
  const std::uint64_t before = generation(world);
  LocalCaller pages(world.request().caller());
  pages.write_back();
  Result<std::size_t> written = 0;
  {
    const SizeLimit limit(kLimit);
    const std::string bytes(2 * kPart, 'y');
    opened->handle->write(pages, kLimit - kPart, bytes,
                          Completion<std::size_t>([&](auto done) { written = std::move(done); }));
  }
  REQUIRE_FALSE(written);
  CHECK(written.error().code == EFBIG);
  REQUIRE(opened->handle->flush(world.request()));
  CHECK(generation(world) > before);
  opened->handle->release();
}

}  // namespace
}  // namespace agentfs::test
