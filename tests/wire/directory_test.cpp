// SPDX-License-Identifier: MIT
// Listings: in pieces of any size, with and without attributes.
#include <fcntl.h>
#include <unistd.h>

#include <map>
#include <set>

#include "base/file.h"
#include "catch.h"
#include "wire/served.h"

namespace agentfs::test {
namespace {

WireKernel::Place open_directory(Served& served, std::string_view path) {
  const auto entry = served.wire().walk(path);
  REQUIRE(code_of(entry) == 0);
  const auto opened = served.wire().open_directory(entry->nodeid);
  REQUIRE(code_of(opened) == 0);
  return {.node = entry->nodeid, .handle = opened->fh};
}

// All entries, asked for in pieces.
std::vector<WireDirent> list_all(Served& served, WireKernel::Place place, std::uint32_t size,
                                 bool plus) {
  std::vector<WireDirent> all;
  for (;;) {
    const auto piece =
        plus ? served.wire().list_plus(place, size) : served.wire().list(place, size);
    REQUIRE(code_of(piece) == 0);
    if (piece->empty()) return all;
    all.insert(all.end(), piece->begin(), piece->end());
    place.offset = all.back().next_offset;
  }
}

std::vector<std::string> names_of(const std::vector<WireDirent>& items) {
  std::vector<std::string> names;
  for (const WireDirent& item : items) {
    if (item.name != "." && item.name != "..") names.push_back(item.name);
  }
  std::ranges::sort(names);
  return names;
}

void fill(Served& served, int count) {
  for (int i = 0; i < count; ++i) {
    REQUIRE(file::replace(served.disk(fmt::format("file-{:03}", i)), "x"));
  }
}

}  // namespace

TEST_CASE("wire: a listing gives each listed row and object once, whatever the room") {
  Served served;
  served.world.add_thing("one");
  served.world.add_thing("two");
  const std::vector<std::string> expected{"README",  "answer", "ctl",     "data", "link",
                                          "message", "one",    "setting", "two",  "value"};
  for (const std::uint32_t size : {64U, 100U, 256U, 65536U}) {
    for (const bool plus : {false, true}) {
      if (plus && size < 256) continue;  // less than one entry
      CAPTURE(size, plus);
      const auto items = list_all(served, open_directory(served, "/"), size, plus);
      CHECK(names_of(items) == expected);
      for (const WireDirent& item : items) CHECK(item.node == 0);
    }
  }
}

TEST_CASE("wire: inode numbers and types of a listing are those of a lookup") {
  Served served;
  served.world.add_thing("one");
  for (const WireDirent& item : list_all(served, open_directory(served, "/"), 65536, false)) {
    if (item.name == "." || item.name == "..") continue;
    CAPTURE(item.name);
    const auto entry = served.wire().lookup(1, item.name);
    REQUIRE(entry);
    CHECK(entry->attr.ino == item.inode);
    CHECK((entry->attr.mode >> 12U) == item.type);
  }
}

TEST_CASE("wire: what comes and goes during a listing does not repeat or hide the rest") {
  Served served;
  for (const char* const name : {"a", "b", "c"}) served.world.add_thing(name);
  auto place = open_directory(served, "/");
  const auto first = served.wire().list(place, 200);
  REQUIRE(first);
  REQUIRE_FALSE(first->empty());
  served.world.remove_thing("b");
  served.world.add_thing("d");
  place.offset = first->back().next_offset;
  auto items = *first;
  const auto rest = list_all(served, place, 200, false);
  items.insert(items.end(), rest.begin(), rest.end());
  const auto names = names_of(items);
  CHECK(std::set<std::string>(names.begin(), names.end()).size() == names.size());
  for (const char* const name : {"ctl", "value", "a", "c"}) {
    CHECK(std::ranges::count(names, name) == 1);
  }
}

TEST_CASE("wire: a listing with attributes counts one lookup for each entry it gives") {
  Served served;
  fill(served, 40);
  for (const std::uint32_t size : {256U, 400U, 1000U, 4096U, 1U << 20U}) {
    CAPTURE(size);
    const auto items = list_all(served, open_directory(served, "/data"), size, true);
    CHECK(names_of(items).size() == 40);
    std::set<std::uint64_t> nodes;
    for (const WireDirent& item : items) {
      const bool self = item.name == "." || item.name == "..";
      CHECK((item.node == 0) == self);
      if (!self) nodes.insert(item.node);
    }
    CHECK(nodes.size() == 40);
    for (const std::uint64_t node : nodes) {
      REQUIRE(served.wire().attributes(node));
      served.wire().forget(node, 1);
    }
    for (const std::uint64_t node : nodes) {
      CHECK(eventually([&] { return code_of(served.wire().attributes(node)) == ESTALE; }));
    }
  }
}

TEST_CASE("wire: an entry that was listed twice has two lookups") {
  Served served;
  fill(served, 1);
  const auto place = open_directory(served, "/data");
  std::uint64_t node = 0;
  for (int round = 0; round < 2; ++round) {
    for (const WireDirent& item : list_all(served, place, 4096, true)) {
      if (item.node != 0) node = item.node;
    }
  }
  served.wire().forget(node, 1);
  CHECK(served.wire().attributes(node));
  served.wire().forget(node, 1);
  CHECK(eventually([&] { return code_of(served.wire().attributes(node)) == ESTALE; }));
}

TEST_CASE("wire: room for no entry gives none, and counts nothing") {
  Served served;
  fill(served, 3);
  const auto place = open_directory(served, "/data");
  for (const std::uint32_t size : {0U, 1U, 8U}) {
    CHECK(served.wire().list_plus(place, size).value_or(std::vector<WireDirent>(1)).empty());
    CHECK(served.wire().list(place, size).value_or(std::vector<WireDirent>(1)).empty());
  }
}

TEST_CASE("wire: an absurd room or offset is harmless") {
  Served served;
  fill(served, 3);
  auto place = open_directory(served, "/data");
  CHECK(served.wire().list(place, ~0U).value_or(std::vector<WireDirent>()).size() == 5);
  const auto synthetic = open_directory(served, "/");
  for (const std::uint64_t offset : {std::uint64_t{1} << 40U, ~std::uint64_t{0}}) {
    CHECK(code_of(served.wire().list({.node = 1, .handle = synthetic.handle, .offset = offset})) !=
          ETIMEDOUT);
    place.offset = offset;
    CHECK(code_of(served.wire().list(place)) != ETIMEDOUT);
  }
}

}  // namespace agentfs::test
