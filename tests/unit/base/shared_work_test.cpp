// SPDX-License-Identifier: MIT
// Work that is done once for all who ask at once.
#include "base/shared_work.h"

#include <atomic>
#include <future>
#include <latch>
#include <vector>

#include "catch.h"

namespace agentfs {
namespace {

TEST_CASE("who asks while work is under way shares the next one with all who wait") {
  constexpr int kOthers = 6;
  SharedWork<int> shared;
  std::atomic<int> made = 0;
  std::promise<void> began;
  std::promise<void> may_end;
  auto first = std::async(std::launch::async, [&] {
    return shared.get("a key", [&]() -> Result<int> {
      began.set_value();
      may_end.get_future().wait();
      return ++made;
    });
  });
  began.get_future().wait();
  std::latch waiting(kOthers);
  std::vector<std::future<Result<int>>> others;
  for (int i = 0; i < kOthers; ++i) {
    others.push_back(std::async(std::launch::async, [&] {
      set_about_to_wait([&] { waiting.count_down(); });
      auto given = shared.get("a key", [&]() -> Result<int> { return ++made; });
      set_about_to_wait({});
      return given;
    }));
  }
  waiting.wait();
  CHECK(shared.get("another key", []() -> Result<int> { return 7; }) == 7);
  CHECK(made == 0);
  may_end.set_value();
  CHECK(first.get() == 1);
  for (auto& other : others) CHECK(other.get() == 2);
  CHECK(made == 2);
  CHECK(shared.get("a key", [&]() -> Result<int> { return ++made; }) == 3);
}

TEST_CASE("what fails is told to all who wait, and is tried again by the next") {
  SharedWork<int> shared;
  const auto failed = shared.get("a key", []() -> Result<int> { return fail(EIO, "no"); });
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == EIO);
  CHECK(shared.get("a key", []() -> Result<int> { return 1; }) == 1);
}

}  // namespace
}  // namespace agentfs
