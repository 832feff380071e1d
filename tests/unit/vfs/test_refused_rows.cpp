// SPDX-License-Identifier: MIT
// Changes that have been made, and whose rows the journal has no room for.
#include <sys/stat.h>
#include <sys/xattr.h>

#include <filesystem>

#include "backends/trees/trees.h"
#include "fs/vfs/with_room.h"
#include "support/temporary.h"
#include "test_tree.h"

namespace agentfs::vfs {
namespace {

// Of a disk that is full for the journal alone.
struct RefusingServices final : FakeServices {
  Status record_change(const Caller&, const TreeChange& change) override {
    ++refused;
    return fail(ENOSPC, "journal: no room for {}", change.operation);
  }
  void make_room() override { ++rooms; }
  int refused = 0;
  int rooms = 0;
};

}  // namespace

TEST_CASE("what has happened is not tried again for want of room for its row") {
  const test::TemporaryDirectory disk;
  RefusingServices services;
  const auto store = *open_tree_store(disk.path());
  FileSystemParts parts;
  parts.services = &services;
  parts.root = &test_root();
  parts.trees = {{"/work", store.get()}};
  FileSystem files(std::move(parts));
  TestRequest request{10};
  test::spit(disk.path("a"), "a");
  std::filesystem::create_directory(disk.path("d"));
  const NodeRef work = files.root()->lookup(request, "work")->node;
  const NodeRef a = work->lookup(request, "a")->node;
  const auto refused_once = [&](const std::string& operation, auto&& change) {
    services.refused = services.rooms = 0;
    services.errors.clear();
    const auto done = with_room(services, change);
    CAPTURE(operation);
    CHECK(services.refused == 1);
    CHECK(services.rooms == 0);
    REQUIRE_FALSE(done);
    CHECK(done.error().code == EIO);
    CHECK_THAT(done.error().message, Catch::Matchers::has("was made"));
    CHECK_THAT(done.error().message, Catch::Matchers::has("journal: no room for " + operation));
    CHECK(services.errors.size() == 1);
  };
  SetAttributes mode{.which = SetAttributes::mode};
  mode.values.st_mode = 0600;
  refused_once("attributes", [&] { return a->set_attributes(request, nullptr, mode); });
  refused_once("xattr", [&] { return a->set_xattr(request, "user.x", "1", XATTR_CREATE); });
  refused_once("xattr", [&] { return a->remove_xattr(request, "user.x"); });
  refused_once("rename", [&] { return work->rename(request, "a", *work, "b", 0); });
  refused_once("remove", [&] { return work->unlink(request, "b"); });
  refused_once("remove", [&] { return work->remove_directory(request, "d"); });
  // What is taken back is.
  services.refused = 0;
  CHECK_FALSE(with_room(services, [&] { return work->make_directory(request, "n", 0755); }));
  CHECK(services.refused == 2);
  CHECK(services.rooms == 1);
  CHECK_FALSE(std::filesystem::exists(disk.path("n")));
}

}  // namespace agentfs::vfs
