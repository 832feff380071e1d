// SPDX-License-Identifier: MIT
// Whose turn it is to change a name.
#include <future>
#include <optional>

#include "catch.h"
#include "fs/vfs/change_order.h"

namespace agentfs::vfs {
namespace {

using Turn = ChangeOrder::Turn;

// Another thread's; what it is asked for is answered once it has had its turn.
std::future<void> ask(ChangeOrder& order, std::string path, std::string other = "") {
  return std::async(std::launch::async, [&order, path = std::move(path), other = std::move(other)] {
    const Turn turn(order, path, other);
  });
}

bool is_waiting(const std::future<void>& asked) {
  return asked.wait_for(std::chrono::milliseconds(50)) == std::future_status::timeout;
}

}  // namespace

TEST_CASE("who changes a name waits for who changes it, and for nobody else") {
  ChangeOrder order;
  std::optional<Turn> mine;
  mine.emplace(order, "/w/a", "/w/b");
  const auto first = ask(order, "/w/a");
  const auto second = ask(order, "/w/c", "/w/b");
  ask(order, "/w/c", "/w/d").get();  // not held by who waits for both of its names
  CHECK(is_waiting(first));
  CHECK(is_waiting(second));
  mine.reset();
  first.wait();
  second.wait();
}

TEST_CASE("a thread takes a name that it has once more, and both names may be one") {
  ChangeOrder order;
  std::optional<Turn> outer;
  outer.emplace(order, "/w/a", "/w/a");
  {
    const Turn inner(order, "/w/a", "");
  }
  const auto other = ask(order, "/w/a");
  CHECK(is_waiting(other));
  outer.reset();
  other.wait();
}

}  // namespace agentfs::vfs
