// SPDX-License-Identifier: MIT
// Limits of trees and users: nothing is written that would be more.
#include "quota_disk.h"

namespace agentfs::vfs {

TEST_CASE("a write that would pass the limit is refused before any byte of it") {
  QuotaDisk disk;
  disk.limit("/work/a", {.bytes = disk.walk("a").bytes + 4 * kBlock, .inodes = 0});
  (void)disk.held("/work/a");
  const auto file = disk.create("a", "f");
  CHECK(disk.write(*file, 0, 3 * kBlock) == 0);
  CHECK(disk.write(*file, 3 * kBlock, kBlock + 1) == EDQUOT);
  CHECK(std::filesystem::file_size(disk.directory.path("trees/a/f")) == 3 * kBlock);
  CHECK(disk.write(*file, 3 * kBlock, kBlock) == 0);
  CHECK(disk.write(*file, 0, 4 * kBlock) == 0);  // in place: nothing more is needed
  CHECK(disk.write(*file, 4 * kBlock, 1) == EDQUOT);
  REQUIRE_FALSE(disk.services.errors.empty());
  CHECK_THAT(disk.services.errors.back(), Catch::Matchers::has("/work/a/.agentfs/limits"));
  CHECK(disk.held("/work/a").bytes == disk.walk("a").bytes);
  SetAttributes shorter{.which = SetAttributes::size};
  CHECK(disk.at("a/f")->set_attributes(disk.request, nullptr, shorter));
  CHECK(disk.write(*file, 0, 4 * kBlock) == 0);
  CHECK(disk.write(*disk.create("b", "f"), 0, 64 * kBlock) == 0);  // has no limit
  file->release();
}

TEST_CASE("holes are free, and what was allocated before can be written when all is spent") {
  QuotaDisk disk;
  disk.limit("/work/a", {.bytes = disk.walk("a").bytes + 4 * kBlock, .inodes = 0});
  (void)disk.held("/work/a");
  const auto file = disk.create("a", "f");
  CHECK(disk.write(*file, 1'000 * kBlock, kBlock) == 0);
  CHECK(file->allocate(disk.request, 0, 0, 3 * kBlock));
  CHECK(code(file->allocate(disk.request, 0, 10 * kBlock, kBlock)) == EDQUOT);
  CHECK(disk.write(*file, 0, 3 * kBlock) == 0);
  CHECK(disk.write(*file, 3 * kBlock, 1) == EDQUOT);
  CHECK(file->allocate(disk.request, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kBlock));
  CHECK(disk.write(*file, 3 * kBlock, 1) == 0);
  CHECK(disk.held("/work/a").bytes == disk.walk("a").bytes);
  file->release();
}

TEST_CASE("a name needs an inode, and a file that is open keeps its own") {
  QuotaDisk disk;
  disk.limit("/work/a", {.bytes = 0, .inodes = 3});
  CHECK(disk.held("/work/a") == Holding{.bytes = disk.walk("a").bytes, .inodes = 1});
  const NodeRef a = disk.at("a");
  CHECK(a->make_directory(disk.request, "d", 0755));
  auto file = disk.create("a", "f");
  CHECK(code(a->make_link(disk.request, "l", "f")) == EDQUOT);
  CHECK(code(a->make_node(disk.request, "p", S_IFIFO | 0600, 0)) == EDQUOT);
  CHECK(code(a->create(disk.request, "g", O_RDWR | O_CREAT, 0644)) == EDQUOT);
  CHECK(a->create(disk.request, "f", O_RDWR | O_CREAT, 0644));  // is there
  CHECK(a->link(disk.request, *disk.at("a/f"), "second"));      // has one already
  CHECK(a->unlink(disk.request, "second"));
  CHECK(a->unlink(disk.request, "f"));
  CHECK(code(a->make_link(disk.request, "l", "f")) == EDQUOT);
  file->release();
  file.reset();
  CHECK(disk.held("/work/a").inodes == 2);
  CHECK(a->make_link(disk.request, "l", "f"));
}

TEST_CASE("a file moved between trees is paid for where it arrives") {
  QuotaDisk disk;
  disk.create("b", "f")->release();
  const auto file = disk.create("b", "g");
  CHECK(disk.write(*file, 0, 8 * kBlock) == 0);
  disk.limit("/work/a", {.bytes = disk.walk("a").bytes + 4 * kBlock, .inodes = 2});
  disk.limit("/work/b", kLarge);
  (void)disk.held("/work/a");
  (void)disk.held("/work/b");
  const NodeRef a = disk.at("a");
  const NodeRef b = disk.at("b");
  CHECK(code(b->rename(disk.request, "g", *a, "g", 0)) == EDQUOT);
  CHECK(disk.at("a/g") == nullptr);
  CHECK(b->rename(disk.request, "f", *a, "f", 0));
  CHECK(code(b->rename(disk.request, "g", *a, "f", RENAME_EXCHANGE)) == EDQUOT);
  CHECK(disk.held("/work/a").inodes == 2);
  CHECK(disk.held("/work/b") == disk.walk("b"));
  // It is the other tree's from now on, also through descriptors of before.
  file->release();
}

TEST_CASE("what a rename replaces is paid for as long as it is open or has another name") {
  QuotaDisk disk;
  for (const char* const name : {"b/1", "b/2", "b/3"}) disk.create("b", name + 2)->release();
  auto open = disk.create("a", "open");
  REQUIRE(disk.write(*open, 0, 4 * kBlock) == 0);
  disk.create("a", "twice")->release();
  REQUIRE(disk.at("a")->link(disk.request, *disk.at("a/twice"), "second"));
  const Holding before = disk.walk("a");
  disk.limit("/work/a", {.bytes = 0, .inodes = before.inodes});
  (void)disk.held("/work/a");
  const auto rename_over = [&](const char* name, const char* over) {
    return code(disk.at("b")->rename(disk.request, name, *disk.at("a"), over, 0));
  };
  CHECK(rename_over("1", "open") == EDQUOT);
  CHECK(rename_over("2", "second") == EDQUOT);
  open->release();
  open.reset();
  CHECK(rename_over("1", "open") == 0);
  REQUIRE(disk.at("a")->unlink(disk.request, "twice"));
  CHECK(rename_over("2", "second") == 0);
  CHECK(disk.held("/work/a").inodes == before.inodes);
}

TEST_CASE("a user's files are counted in all trees together") {
  if (::geteuid() != 0) return;  // only root gives files to others
  QuotaDisk disk;
  const std::string user = user_subject(12'345);
  disk.limit(user, {.bytes = 4 * kBlock, .inodes = 2});
  CHECK(disk.held(user) == Holding{});
  const auto give = [&](const std::string& path) {
    SetAttributes wanted{.which = SetAttributes::uid};
    wanted.values.st_uid = 12'345;
    return code(disk.at(path)->set_attributes(disk.request, nullptr, wanted));
  };
  const auto one = disk.create("a", "f");
  const auto two = disk.create("b", "f");
  disk.create("b", "g")->release();
  CHECK(disk.write(*one, 0, 3 * kBlock) == 0);
  CHECK(disk.write(*two, 0, 2 * kBlock) == 0);
  CHECK(give("a/f") == 0);
  CHECK(give("b/f") == EDQUOT);
  CHECK(disk.held(user) == Holding{.bytes = 3 * kBlock, .inodes = 1});
  CHECK(disk.write(*one, 3 * kBlock, 2 * kBlock) == EDQUOT);
  CHECK(disk.at("b")->unlink(disk.request, "f"));
  CHECK(give("b/g") == 0);
  CHECK(disk.held(user) == Holding{.bytes = 3 * kBlock, .inodes = 2});
  for (const auto& file : {one, two}) file->release();
}

TEST_CASE("two who ask for room at once do not get the same room") {
  QuotaDisk disk;
  const std::string user = user_subject(12'345);
  const std::uint64_t held = disk.walk("a").bytes;
  disk.limit("/work/a", {.bytes = held + 4 * kBlock, .inodes = 10});
  disk.limit(user, {.bytes = 0, .inodes = 2});
  (void)disk.held("/work/a");
  (void)disk.held(user);
  const auto ask = [&](std::int64_t blocks, std::int64_t inodes) {
    Growth growth;
    growth.add(12'345, {blocks * static_cast<std::int64_t>(kBlock), inodes});
    return disk.files->hold_room("/work/a", growth);
  };
  auto first = ask(3, 1);
  REQUIRE(first);
  CHECK(ask(2, 0).error().code == EDQUOT);
  CHECK(ask(1, 2).error().code == EDQUOT);
  CHECK(ask(1, 1));   // and is given back at once
  CHECK(ask(-8, 0));  // what shrinks
  CHECK(ask(2, 0).error().code == EDQUOT);
  first = Hold();
  CHECK(ask(4, 2));
}

TEST_CASE("statfs tells the limit, and df what is left of it") {
  QuotaDisk disk;
  disk.limit("/work/a", {.bytes = 256 * kBlock, .inodes = 10});
  const Holding held = disk.held("/work/a");
  const struct statvfs told = *disk.at("a")->statistics(disk.request);
  CHECK(told.f_blocks * told.f_frsize == 256 * kBlock);
  CHECK(told.f_bavail * told.f_frsize == 256 * kBlock - held.bytes);
  CHECK(told.f_files == 10);
  CHECK(told.f_ffree == 9);
  const struct statvfs other = *disk.at("b")->statistics(disk.request);
  CHECK(other.f_blocks > told.f_blocks);
}

TEST_CASE("a fork begins with what its parent holds") {
  QuotaDisk disk;
  const auto file = disk.create("a", "f");
  CHECK(disk.write(*file, 0, 20 * kBlock) == 0);
  file->release();
  disk.limit("/work/a", kLarge);
  const Holding parent = disk.held("/work/a");
  const auto fork = [&](auto&) -> Status {
    TRY(disk.forest->fork("a", "c"));
    return ok();
  };
  REQUIRE(disk.files->replace_tree("/work/c", {fork}));
  disk.services.set("/work/c", {.bytes = parent.bytes + kBlock, .inodes = 0});
  disk.files->quotas_changed("/work/c", "/work/a");
  const auto more = disk.create("c", "g");
  CHECK(disk.write(*more, 0, 2 * kBlock) == EDQUOT);  // also while it is being counted
  // Marks of the forest may have a block of their own, on the disk.
  CHECK(disk.held("/work/c") == Holding{.bytes = parent.bytes, .inodes = parent.inodes + 1});
  CHECK(disk.walk("c").bytes >= parent.bytes);
  CHECK(disk.held("/work/a") == parent);
  more->release();
}

// `rm -rf` has emptied it by then, and where it was an import the next commit is to know.
TEST_CASE("that a tree is to be removed is said also where the disk has no room for its row") {
  QuotaDisk disk;
  disk.services.is_full = true;
  CHECK(code(disk.at("")->remove_directory(disk.request, "b")) == ENOSPC);
  CHECK(disk.services.to_be_removed == std::vector<std::string>{"/work/b"});
  disk.services.is_full = false;
  CHECK(disk.at("")->remove_directory(disk.request, "b"));
}

}  // namespace agentfs::vfs
