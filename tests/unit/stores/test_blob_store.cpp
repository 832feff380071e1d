// SPDX-License-Identifier: MIT
// What every blob store promises, and what the files do beyond it.
#include <atomic>
#include <thread>

#include "backends/blobs/blobs.h"
#include "backends/memory/memory.h"
#include "base/hash.h"
#include "catch.h"
#include "support/temporary.h"
#include "unit/stores/killed.h"

namespace agentfs {
namespace {

struct Files {
  test::TemporaryDirectory directory;
  std::string place = directory.path("blobs");
  std::unique_ptr<BlobStore> blobs = open_blobs(place).value();
  std::string path_of(const std::string& hash) const {
    return place + "/" + hash.substr(0, 2) + "/" + hash;
  }
};

struct Memory {
  std::unique_ptr<BlobStore> blobs = make_memory_blobs();
};

std::size_t files_below(const std::string& directory) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file()) ++count;
  }
  return count;
}

}  // namespace

TEMPLATE_TEST_CASE("a blob is got by its hash", "[blobs]", Files, Memory) {
  TestType store;
  const std::string binary("\0\xFF\n\r", 4);
  const std::string large(3'000'000, 'z');
  for (const std::string& bytes : {std::string("hello\n"), std::string(), binary, large}) {
    const auto hash = store.blobs->put(bytes);
    REQUIRE(hash);
    CHECK(*hash == blake2b(bytes));
    CHECK(store.blobs->put(bytes).value() == *hash);
    CHECK(store.blobs->get(*hash).value() == bytes);
  }
  CHECK(store.blobs->sync());
}

TEMPLATE_TEST_CASE("a blob that is not there is ENOENT", "[blobs]", Files, Memory) {
  TestType store;
  CHECK(store.blobs->get(blake2b("never put")).error().code == ENOENT);
  CHECK(store.blobs->get("").error().code == ENOENT);
  CHECK(store.blobs->get("../../../etc/passwd").error().code == ENOENT);
  CHECK(store.blobs->get(std::string(64, 'G')).error().code == ENOENT);
}

TEMPLATE_TEST_CASE("all threads put, get and sync", "[blobs]", Files, Memory) {
  TestType store;
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 4; ++thread) {
      threads.emplace_back([&] {
        for (int i = 0; i < 50; ++i) {
          const std::string bytes = fmt::format("blob {}", i);
          const auto hash = store.blobs->put(bytes);
          if (!hash || store.blobs->get(*hash) != bytes) ++wrong;
          if (i % 10 == 0 && !store.blobs->sync()) ++wrong;
        }
      });
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("a blob is one file that a person can find", "[blobs]") {
  const Files store;
  const std::string hash = store.blobs->put("hello\n").value();
  CHECK(test::slurp(store.path_of(hash)) == "hello\n");
  REQUIRE(store.blobs->put("hello\n"));
  CHECK(files_below(store.place) == 1);
}

TEST_CASE("a damaged blob is told, and mended by its bytes", "[blobs]") {
  const Files store;
  const std::string hash = store.blobs->put("hello\n").value();
  std::filesystem::permissions(store.path_of(hash), std::filesystem::perms::owner_all);
  for (const std::string damage : {"", "hellO\n", "hello\nmore"}) {
    test::spit(store.path_of(hash), damage);
    CHECK(store.blobs->get(hash).error().code == EBADMSG);
    REQUIRE(store.blobs->put("hello\n"));
    CHECK(store.blobs->get(hash).value() == "hello\n");
    std::filesystem::permissions(store.path_of(hash), std::filesystem::perms::owner_all);
  }
}

TEST_CASE("leftovers of a crash are removed when the store is opened", "[blobs]") {
  Files store;
  const std::string hash = store.blobs->put("hello\n").value();
  test::spit(store.place + "/new/17", "hal");
  store.blobs = open_blobs(store.place).value();
  CHECK(files_below(store.place) == 1);
  CHECK(store.blobs->get(hash).value() == "hello\n");
}

TEST_CASE("many blobs are synced together", "[blobs]") {
  const Files store;
  for (int i = 0; i < 100; ++i) REQUIRE(store.blobs->put(fmt::format("blob {}", i)));
  CHECK(store.blobs->sync());
  CHECK(store.blobs->sync());
}

TEST_CASE("what was put survives kill -9", "[blobs]") {
  Files store;
  const auto acknowledged = test::run_and_kill(100, [&](std::uint64_t n) {
    return store.blobs->put(fmt::format("blob {}", n)).has_value();
  });
  REQUIRE(acknowledged >= 100);
  store.blobs = open_blobs(store.place).value();
  for (std::uint64_t n = 1; n <= acknowledged; ++n) {
    CHECK(store.blobs->get(blake2b(fmt::format("blob {}", n))));
  }
}

}  // namespace agentfs
