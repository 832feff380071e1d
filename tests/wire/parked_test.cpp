// SPDX-License-Identifier: MIT
// Requests that wait: they hold no thread, an interrupt ends them, each is answered once.
#include <fcntl.h>
#include <poll.h>

#include <atomic>
#include <set>

#include "base/worker_pool.h"
#include "catch.h"
#include "wire/served.h"

namespace agentfs::test {
namespace {

constexpr std::size_t kMany = 12;  // more than a session has threads
constexpr int kRounds = 200;

std::vector<std::uint64_t> park_writes(Served& served, std::size_t count) {
  std::vector<std::uint64_t> numbers;
  for (std::size_t i = 0; i < count; ++i) {
    const auto place = served.open("/answer", O_RDWR);
    numbers.push_back(served.wire().start_write(place, "question\n"));
  }
  REQUIRE(eventually([&] { return served.world.parked() == count; }));
  return numbers;
}

std::vector<std::uint64_t> park_reads(Served& served, std::size_t count) {
  std::vector<std::uint64_t> numbers;
  for (std::size_t i = 0; i < count; ++i) {
    numbers.push_back(served.wire().start_read(served.open("/wait"), 4096));
  }
  REQUIRE(eventually([&] { return served.world.parked() == count; }));
  return numbers;
}

bool was_given_up(int code) { return code == EINTR || code == ECONNABORTED; }

}  // namespace

TEST_CASE("wire: parked writes hold no thread") {
  Served served({.threads = 2});
  const auto numbers = park_writes(served, kMany);
  CHECK(served.read_all("/value") == "first\n");
  for (const std::uint64_t number : numbers) CHECK_FALSE(served.wire().is_answered(number));
  while (served.world.answer(std::string("reply\n"))) {
  }
  for (const std::uint64_t number : numbers) CHECK(code_of(served.wire().await(number)) == 0);
}

TEST_CASE("wire: parked reads hold no thread, and are answered in any order") {
  Served served({.threads = 2});
  const auto numbers = park_reads(served, kMany);
  CHECK(served.read_all("/value") == "first\n");
  for (std::size_t i = 0; i < kMany; ++i) REQUIRE(served.world.answer(fmt::format("{}\n", i)));
  std::multiset<std::string> texts;
  for (const std::uint64_t number : numbers) {
    const auto text = served.wire().await(number);
    REQUIRE(text);
    texts.insert(*text);
  }
  CHECK(texts.size() == kMany);
  CHECK(texts.contains("11\n"));
}

TEST_CASE("wire: an interrupt ends a parked request, whose late answer is dropped") {
  Served served;
  const auto writes = park_writes(served, 2);
  served.wire().interrupt(writes[0]);
  CHECK(code_of(served.wire().await(writes[0])) == EINTR);
  REQUIRE(eventually([&] { return served.world.cancelled() == 1; }));
  CHECK_FALSE(served.wire().is_answered(writes[1]));
  REQUIRE(served.world.answer(std::string("reply\n")));
  CHECK(code_of(served.wire().await(writes[1])) == 0);
}

TEST_CASE("wire: a server that does not stop at once keeps nobody waiting") {
  Served served;
  served.world.cancel_quietly(true);
  const auto writes = park_writes(served, 1);
  served.wire().interrupt(writes[0]);
  CHECK(code_of(served.wire().await(writes[0])) == EINTR);
  REQUIRE(served.world.answer(std::string("too late\n")));
  CHECK(served.read_all("/value") == "first\n");
}

TEST_CASE("wire: an interrupted wait can be read again") {
  Served served;
  const auto place = served.open("/wait");
  const auto first = served.wire().start_read(place, 4096);
  REQUIRE(eventually([&] { return served.world.parked() == 1; }));
  served.wire().interrupt(first);
  CHECK(code_of(served.wire().await(first)) == EINTR);
  REQUIRE(eventually([&] { return served.world.parked() == 0; }));
  const auto second = served.wire().start_read(place, 4096);
  REQUIRE(eventually([&] { return served.world.parked() == 1; }));
  REQUIRE(served.world.answer(std::string("done\n")));
  CHECK(served.wire().await(second).value_or("") == "done\n");
}

TEST_CASE("wire: an interrupt that comes before its request ends it") {
  Served served;
  const auto place = served.open("/wait");
  const std::uint64_t number = served.wire().coming_number() + 2;
  served.wire().interrupt(number);
  REQUIRE(served.wire().start_read(place, 4096) == number);
  CHECK(code_of(served.wire().await(number)) == EINTR);
}

TEST_CASE("wire: an interrupt of nothing is told or dropped, and harms nobody") {
  Served served;
  const auto parked = park_reads(served, 1);
  for (std::uint64_t unknown = 5; unknown < 25; ++unknown) served.wire().interrupt(unknown);
  for (int i = 0; i < 30; ++i) REQUIRE(served.wire().attributes(1));
  CHECK_FALSE(served.wire().is_answered(parked[0]));
  REQUIRE(served.world.answer(std::string("done\n")));
  CHECK(code_of(served.wire().await(parked[0])) == 0);
}

TEST_CASE("wire: an interrupt at any moment of the parking ends the request") {
  Served served({.threads = 4});
  for (int round = 0; round < kRounds; ++round) {
    const auto place = served.open(round % 2 == 0 ? "/wait" : "/events");
    const std::uint64_t number = served.wire().start_read(place, 4096);
    served.wire().interrupt(number);
    CHECK(code_of(served.wire().await(number)) == EINTR);
    REQUIRE(served.wire().release(place));
  }
}

TEST_CASE("wire: an interrupt that races the answer gives one of the two") {
  Served served({.threads = 4});
  std::atomic<int> answered = 0;
  WorkerPool answering(1);
  for (int round = 0; round < kRounds; ++round) {
    const bool reads = round % 2 == 0;
    const auto place = served.open(reads ? "/wait" : "/answer", reads ? O_RDONLY : O_RDWR);
    const std::uint64_t number = reads ? served.wire().start_read(place, 4096)
                                       : served.wire().start_write(place, "question\n");
    REQUIRE(eventually([&] { return served.world.parked() == 1; }));
    answering.post([&] {
      static_cast<void>(served.world.answer(std::string("reply\n")));
      ++answered;
    });
    served.wire().interrupt(number);
    const int code = code_of(served.wire().await(number));
    CHECK((code == 0 || code == EINTR));
    REQUIRE(served.wire().release(place));
    // An answer that comes late would be the next round's.
    REQUIRE(eventually([&] { return answered == round + 1 && served.world.parked() == 0; }));
  }
}

TEST_CASE("wire: the session's end answers and cancels what is parked") {
  Served served({.threads = 2});
  auto numbers = park_reads(served, 5);
  REQUIRE(served.world.parked() == 5);
  served.session->stop();
  for (const std::uint64_t number : numbers) {
    CHECK(was_given_up(code_of(served.wire().await(number))));
  }
  CHECK(served.world.cancelled() == 5);
}

TEST_CASE("wire: answers and wake-ups after the session's end go nowhere") {
  Served served({.threads = 2});
  served.world.cancel_quietly(true);
  park_writes(served, 5);
  const auto events = served.open("/events");
  REQUIRE(served.wire().poll(events, 77));
  served.session->stop();
  while (served.world.answer(std::string("too late\n"))) {
  }
  served.world.push("too late\n");
  CHECK(served.wire().notifications().empty());
}

TEST_CASE("wire: when the mount goes, what is parked is cancelled") {
  Served served({.threads = 2});
  park_reads(served, 3);
  static_cast<void>(served.session->close());
  CHECK(served.world.cancelled() == 3);
  CHECK(served.world.parked() == 0);
}

TEST_CASE("wire: an end that races answers loses none and crashes nobody") {
  for (int round = 0; round < 20; ++round) {
    Served served({.threads = 2});
    served.world.cancel_quietly(round % 2 == 0);
    const auto numbers = park_writes(served, 6);
    WorkerPool answering(1);
    answering.post([&served] {
      while (served.world.answer(std::string("reply\n"))) {
      }
    });
    served.session->stop();
    for (const std::uint64_t number : numbers) {
      const int code = code_of(served.wire().await(number));
      CHECK((code == 0 || was_given_up(code)));
    }
  }
}

TEST_CASE("wire: O_NONBLOCK is answered at once") {
  Served served;
  for (const char* const path : {"/wait", "/events"}) {
    const auto place = served.open(path, O_RDONLY | O_NONBLOCK);
    CHECK(code_of(served.wire().read(place)) == EAGAIN);
  }
}

TEST_CASE("wire: a closed descriptor's reads end") {
  Served served;
  for (const char* const path : {"/wait", "/events"}) {
    const auto place = served.open(path);
    const std::uint64_t number = served.wire().start_read(place, 4096);
    REQUIRE(eventually([&] { return served.services.counted("read") > 0; }));
    REQUIRE(served.wire().release(place));
    const int code = code_of(served.wire().await(number));
    CHECK((code == EINTR || code == EBADF));
  }
  REQUIRE(eventually([&] { return served.world.followers() == 0; }));
}

TEST_CASE("wire: poll wakes who waits") {
  Served served;
  const auto events = served.open("/events");
  CHECK(served.wire().poll(events, 7).value_or(99) == 0);
  served.world.push("news\n");
  REQUIRE(served.wire().await_notification(FUSE_NOTIFY_POLL));
  const auto woken =
      wire_struct<fuse_notify_poll_wakeup_out>(served.wire().notifications().front().body);
  REQUIRE(woken);
  CHECK(woken->kh == 7);
  CHECK((served.wire().poll(events, 0).value_or(0) & 1U) != 0);
  CHECK(served.wire().read(events).value_or("") == "news\n");
  CHECK(served.wire().poll(events, 0).value_or(99) == 0);
}

TEST_CASE("wire: poll tells of a newer version of a value") {
  Served served;
  const auto value = served.open("/value");
  CHECK((served.wire().poll(value, 8).value_or(99) & POLLPRI) == 0);
  served.world.set_value("second\n");
  served.files->changed("/value");
  REQUIRE(served.wire().await_notification(FUSE_NOTIFY_POLL));
  CHECK((served.wire().poll(value, 0).value_or(0) & POLLPRI) != 0);
  CHECK(served.wire().read(value).value_or("") == "first\n");
}

TEST_CASE("wire: an unterminated request waits in close(2)") {
  Served served({.threads = 2});
  const auto place = served.open("/answer", O_WRONLY);
  REQUIRE(served.wire().write(place, "question").value_or(0) == 8);
  fuse_flush_in in{};
  in.fh = place.handle;
  const std::uint64_t flush = served.wire().send(FUSE_FLUSH, place.node, wire_bytes(in));
  REQUIRE(eventually([&] { return served.world.parked() == 1; }));
  CHECK(served.read_all("/value") == "first\n");
  REQUIRE(served.world.answer(std::string("reply\n")));
  CHECK(code_of(served.wire().await(flush)) == 0);
}

TEST_CASE("wire: a request that is renamed into place waits in rename(2)") {
  Served served({.threads = 2});
  for (const bool interrupted : {false, true}) {
    const auto made = served.wire().create(1, "answer.tmp", O_WRONLY | O_CREAT, 0644);
    REQUIRE(code_of(made) == 0);
    const WireKernel::Place place{.node = made->first.nodeid, .handle = made->second.fh};
    REQUIRE(served.wire().write(place, "question").value_or(0) == 8);
    REQUIRE(served.wire().flush(place));
    REQUIRE(served.wire().release(place));
    const std::uint64_t number = served.wire().start_rename({1, "answer.tmp"}, {1, "answer"});
    REQUIRE(eventually([&] { return served.world.parked() == 1; }));
    CHECK(served.read_all("/value") == "first\n");
    if (interrupted)
      served.wire().interrupt(number);
    else
      REQUIRE(served.world.answer(std::string("reply\n")));
    CHECK(code_of(served.wire().await(number)) == (interrupted ? EINTR : 0));
    REQUIRE(eventually([&] { return served.world.parked() == 0; }));
  }
}

}  // namespace agentfs::test
