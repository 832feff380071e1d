// SPDX-License-Identifier: MIT
// A document longer than one may be was refused by write(2), and then close(2) saved the part that
// had been taken, or the empty text that was left of it: the document in force was lost.
#include "catch.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

constexpr std::size_t kMebibyte = std::size_t{1} << 20U;

int write_at(vfs::Request& request, vfs::Handle& handle, off_t offset, std::string_view text) {
  int code = -1;
  handle.write(request, offset, text, Completion<std::size_t>([&](Result<std::size_t> count) {
                 code = count ? 0 : count.error().code;
               }));
  return code;
}

TEST_CASE("A document of which a write was refused is not saved at close") {
  TreeWorld world;
  const std::string path = world.path_of(world.idle, "context.d/rules.md");
  const std::uint64_t head = world.head();
  CHECK(world.write(path, std::string(2 * kMebibyte, 'x')) == EMSGSIZE);
  CHECK(world.read(path) == "Be brief.\n");

  const auto opened = world.get(path)->open(world.request(), O_WRONLY | O_TRUNC);
  REQUIRE(opened);
  CHECK(write_at(world.request(), *opened->handle, 0, "Half of ") == 0);
  CHECK(write_at(world.request(), *opened->handle, kMebibyte, "it.\n") == EMSGSIZE);
  CHECK(opened->handle->flush(world.request()).error().code == EMSGSIZE);
  opened->handle->release();
  CHECK(world.read(path) == "Be brief.\n");
  CHECK(world.head() == head);
}

TEST_CASE("A document that was cut to nothing after a refused write starts afresh") {
  TreeWorld world;
  const std::string path = world.path_of(world.idle, "context.d/rules.md");
  const vfs::NodeRef node = world.get(path);
  const auto opened = node->open(world.request(), O_WRONLY | O_TRUNC);
  REQUIRE(opened);
  CHECK(write_at(world.request(), *opened->handle, kMebibyte, "x") == EMSGSIZE);
  SetAttributes cut{};
  cut.which = SetAttributes::size;
  CHECK(node->set_attributes(world.request(), opened->handle.get(), cut));
  CHECK(write_at(world.request(), *opened->handle, 0, "Be clear.\n") == 0);
  CHECK(opened->handle->flush(world.request()));
  opened->handle->release();
  CHECK(world.read(path) == "Be clear.\n");
}

}  // namespace
}  // namespace agentfs::test
