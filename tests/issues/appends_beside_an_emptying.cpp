// SPDX-License-Identifier: MIT
// Who appended while another emptied the file by O_TRUNC lost lines, and wrote behind a hole: the
// host's kernel appends at the size that it knows, and hears last that the file has none.
#include <fcntl.h>

#include "catch.h"
#include "fs/vfs/wait_for.h"
#include "support/must.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

TEST_CASE("What is appended stands at the end, wherever the host's kernel believes that to be") {
  TreeWorld world;
  const std::string path = "/workspaces/site/log";
  LocalCaller appender(world.request().caller());
  appender.open_to_append();
  auto made = world.get("/workspaces/site")->create(appender, "log", O_WRONLY | O_APPEND, 0644);
  REQUIRE(made);
  const auto log = made->opened.handle;
  const auto put = [&](off_t offset, std::string_view line) {
    const auto count = vfs::wait_for<std::size_t>(
        [&](Completion<std::size_t> done) { log->write(appender, offset, line, std::move(done)); });
    return count && *count == line.size();
  };
  const auto now = [&] {
    return must(file::read(world.base().state() + "/trees/workspaces/site/log"));
  };
  REQUIRE(put(0, "one\n"));
  REQUIRE(put(4, "two\n"));
  CHECK(appender.times_put_elsewhere() == 0);
  const auto emptied = world.get(path)->open(world.request(), O_WRONLY | O_TRUNC);
  REQUIRE(emptied);
  emptied->handle->release();
  REQUIRE(put(8, "three\n"));  // it has not heard yet
  REQUIRE(put(0, "four\n"));   // and now not of that line
  CHECK(appender.times_put_elsewhere() == 2);
  CHECK(now() == "three\nfour\n");
  LocalCaller writer(world.request().caller());
  const auto other = world.get(path)->open(writer, O_WRONLY);
  REQUIRE(other);
  const auto over = vfs::wait_for<std::size_t>(
      [&](Completion<std::size_t> done) { other->handle->write(writer, 0, "T", std::move(done)); });
  CHECK(over);
  CHECK(now() == "Three\nfour\n");
  other->handle->release();
  log->release();
}

}  // namespace
}  // namespace agentfs::test
