// SPDX-License-Identifier: MIT
// What blocks is never listed, and never blocks one who does not want to wait.
#include <algorithm>
#include <optional>

#include "catch.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

bool blocks(const vfs::RowInfo& row) {
  return row.kind == vfs::Kind::wait || row.kind == vfs::Kind::follow;
}

bool is_of(const RowAt& row, ProcessId pid) {
  const auto& key = row.directory.key;
  return !key.empty() && key.front() == fmt::format("{}", pid.value);
}

std::vector<RowAt> blocking_rows(TreeWorld& world) {
  std::vector<RowAt> all = world.rows();
  std::erase_if(all, [](const RowAt& row) { return !blocks(row.info()); });
  return all;
}

TEST_CASE("Rows that block are not listed, can be found and are empty to stat") {
  TreeWorld world;
  const auto rows = blocking_rows(world);
  CHECK(rows.size() >= 2 * 4);
  for (const RowAt& row : rows) {
    INFO(row.path);
    CHECK_FALSE(row.info().listed);
    const auto items = world.items(*world.get(row.directory.path));
    CHECK(std::ranges::find(items, row.info().name, &vfs::DirectoryItem::name) == items.end());
    const auto found = world.find(row.path);
    REQUIRE(found);
    CHECK(found->attributes.st_size == 0);
    CHECK(found->attributes.st_ino == world.find(row.path)->attributes.st_ino);
    CHECK(world.write(row.path, "x\n") == EACCES);
  }
}

TEST_CASE("A read that would block is EAGAIN on a descriptor that must not") {
  TreeWorld world;
  LocalCaller impatient(world.request().caller(), false);
  std::size_t seen = 0;
  for (const RowAt& row : blocking_rows(world)) {
    const bool is_at_work = is_of(row, world.busy);
    INFO(row.path);
    const auto opened = world.get(row.path)->open(impatient, O_RDONLY | O_NONBLOCK);
    REQUIRE(opened);
    std::optional<int> code;
    opened->handle->read(impatient, 0, 4096, Completion<vfs::Bytes>([&](Result<vfs::Bytes> bytes) {
                           code = bytes ? 0 : bytes.error().code;
                         }));
    REQUIRE(code);  // at once
    CHECK((*code == 0 || *code == EAGAIN));
    if (is_at_work) CHECK(*code == EAGAIN);
    seen += is_at_work ? 1U : 0U;
    opened->handle->release();
  }
  CHECK(seen >= 2);
}

TEST_CASE("A read that waits ends with EINTR when it is interrupted, and changes nothing") {
  TreeWorld world;
  const std::uint64_t head = world.head();
  for (const RowAt& row : blocking_rows(world)) {
    if (!is_of(row, world.busy)) continue;
    INFO(row.path);
    const auto opened = world.get(row.path)->open(world.request(), O_RDONLY);
    REQUIRE(opened);
    std::optional<int> code;
    const Completion<vfs::Bytes> done(
        [&](Result<vfs::Bytes> bytes) { code = bytes ? 0 : bytes.error().code; });
    opened->handle->read(world.request(), 0, 4096, done);
    CHECK_FALSE(code);
    done.cancel();
    REQUIRE(code);
    CHECK(*code == EINTR);
    opened->handle->release();
  }
  CHECK(world.head() == head);
}

TEST_CASE("wait of a process without work gives its answer at once") {
  TreeWorld world;
  for (const ProcessId pid : {world.init, world.idle, world.dead}) {
    INFO(pid.value);
    CHECK_NOTHROW(world.read(world.path_of(pid, "wait")));
  }
}

}  // namespace
}  // namespace agentfs::test
