// SPDX-License-Identifier: MIT
// Whose turn it is to change a name.
#include <atomic>
#include <barrier>
#include <future>
#include <optional>

#include "catch.h"
#include "fs/vfs/change_order.h"

namespace agentfs::vfs {
namespace {

using Turn = ChangeOrder::Turn;

using Names = ChangeOrder::Names;

ChangeOrder::Naming are(Names names) {
  return [names = std::move(names)] { return names; };
}

// Another thread's; what it is asked for is answered once it has had its turn.
std::future<std::string> ask(ChangeOrder& order, ChangeOrder::Naming naming) {
  return std::async(std::launch::async, [&order, naming = std::move(naming)] {
    return Turn(order, naming).names().path;
  });
}

std::future<std::string> ask(ChangeOrder& order, Names names) {
  return ask(order, are(std::move(names)));
}

bool is_waiting(const std::future<std::string>& asked) {
  return asked.wait_for(std::chrono::milliseconds(50)) == std::future_status::timeout;
}

}  // namespace

TEST_CASE("who changes a name waits for who changes it, and for nobody else") {
  ChangeOrder order;
  std::optional<Turn> mine;
  mine.emplace(order, are({"/w/a", "/w/b"}));
  const auto first = ask(order, {"/w/a"});
  const auto second = ask(order, {"/w/c", "/w/b"});
  ask(order, {"/w/c", "/w/d"}).get();  // not held by who waits for both of its names
  CHECK(is_waiting(first));
  CHECK(is_waiting(second));
  mine.reset();
  first.wait();
  second.wait();
}

TEST_CASE("a thread takes a name that it has once more, and both names may be one") {
  ChangeOrder order;
  std::optional<Turn> outer;
  outer.emplace(order, are({"/w/a", "/w/a"}));
  {
    const Turn inner(order, are({"/w/a"}));
  }
  const auto other = ask(order, {"/w/a"});
  CHECK(is_waiting(other));
  outer.reset();
  other.wait();
}

TEST_CASE("who changes what is below a directory waits while it is renamed, by both of its names") {
  ChangeOrder order;
  std::optional<Turn> rename;
  rename.emplace(order, are({"/w/d", "/w/e", true}));
  const auto below = ask(order, {"/w/d/x/y"});
  const auto below_other = ask(order, {"/w/e/x"});
  ask(order, {"/w/dd"}).get();
  ask(order, {"/w/f/x", "/w"}).get();
  CHECK(is_waiting(below));
  CHECK(is_waiting(below_other));
  rename.reset();
  below.wait();
  below_other.wait();
}

TEST_CASE("a directory is renamed after what is under way below it, and before what comes then") {
  ChangeOrder order(std::chrono::hours(1));  // nobody goes ahead
  std::optional<Turn> mine;
  mine.emplace(order, are({"/w/d/x"}));
  std::promise<void> is_to_end;
  std::promise<void> has_begun;
  std::string told;
  const auto rename = std::async(std::launch::async, [&] {
    const Turn turn(order, are({"/w/d", "/w/e", true}));
    told += "rename ";
    has_begun.set_value();
    is_to_end.get_future().wait();
  });
  CHECK(rename.wait_for(std::chrono::milliseconds(20)) == std::future_status::timeout);
  {
    const Turn inner(order, are({"/w/d/y"}));  // part of what is under way
    told += "inner ";
  }
  told += "mine ";
  mine.reset();
  has_begun.get_future().wait();
  const auto later = ask(order, {"/w/d/z"});
  CHECK(is_waiting(later));
  is_to_end.set_value();
  rename.wait();
  later.wait();
  CHECK(told == "inner mine rename ");
}

TEST_CASE("a change that has waited for a rename has the name that it has then") {
  ChangeOrder order;
  std::atomic<const char*> directory = "/w/d";
  std::optional<Turn> rename;
  rename.emplace(order, are({"/w/d", "/w/e", true}));
  auto change = ask(order, [&] { return Names{.path = std::string(directory) + "/x"}; });
  CHECK(is_waiting(change));
  directory = "/w/e";
  rename.reset();
  CHECK(change.get() == "/w/e/x");
}

TEST_CASE("a change that has waited for a removal finds the name gone") {
  ChangeOrder order;
  std::atomic<const char*> name = "/w/f";
  std::optional<Turn> removal;
  removal.emplace(order, are({"/w/f"}));
  auto change = ask(order, [&] { return Names{.path = name.load()}; });
  CHECK(is_waiting(change));
  name = "gone";
  order.note_removed();
  removal.reset();
  CHECK(change.get() == "gone");
}

TEST_CASE("two who have a turn each and want the other's as well both go on") {
  ChangeOrder order(std::chrono::milliseconds(1));
  std::barrier both(2);
  const auto cross = [&](const char* own, const char* others) {
    return std::async(std::launch::async, [&order, &both, own, others] {
      const Turn turn(order, are({own}));
      both.arrive_and_wait();
      const Turn inner(order, are({others}));
    });
  };
  const auto one = cross("/w/a", "/w/b");
  const auto other = cross("/w/b", "/w/a");
  one.wait();
  other.wait();
  ask(order, {"/w/a", "/w/b"}).get();  // and nothing stays held
}

TEST_CASE("two directories that are renamed into each other's place both go on") {
  ChangeOrder order(std::chrono::milliseconds(1));
  for (int round = 0; round < 20; ++round) {
    const auto move = [&](const char* from, const char* to) {
      return std::async(std::launch::async,
                        [&order, from, to] { const Turn turn(order, are({from, to, true})); });
    };
    const auto one = move("/w/a", "/w/b/c");
    const auto other = move("/w/b", "/w/a/d");
    const auto inner = move("/w/a/d", "/w/c");
    one.wait();
    other.wait();
    inner.wait();
  }
  ask(order, {"/w", "", true}).get();
}

}  // namespace agentfs::vfs
