// SPDX-License-Identifier: MIT
// To read /sys/gen/table.jsonl the paths of 10,000 rows were put together with the kernel locked,
// in a time that grew with the square of their length: below 10,000 directories the watcher ended
// the daemon meanwhile, and again at each such read, as of a backup.
#include <chrono>
#include <string>

#include "catch.h"
#include "kernel/generations.h"

namespace agentfs::test {
namespace {

TEST_CASE("The newest generations of very long paths are told in bounded room, and at once") {
  constexpr int kDepth = 10'000;
  constexpr std::uint64_t kFiles = 400;
  std::string directory = "/workspaces/site";
  for (int level = 0; level < kDepth; ++level) directory += "/" + std::string(20, 'd');
  Generations generations;
  for (std::uint64_t number = 1; number <= kFiles; ++number) {
    generations.change(directory + "/" + std::to_string(number), {.number = {number}});
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  const auto rows = generations.newest(10'000);
  CHECK(std::chrono::steady_clock::now() < deadline);
  std::size_t bytes = 0;
  for (const auto& [path, generation] : rows) bytes += path.size();
  CHECK(bytes <= 16U << 20U);
  REQUIRE(rows.size() > 50);
  CHECK(rows.size() < kFiles);
  CHECK(rows.back().first == directory + "/" + std::to_string(kFiles));
  CHECK(rows.front().second.number.value == kFiles - rows.size() + 1);
}

}  // namespace
}  // namespace agentfs::test
