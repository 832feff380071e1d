// SPDX-License-Identifier: MIT
// A clock that is set ages nothing, and time that passes does.
#include "kernel/clock_steps.h"

#include <optional>

#include "base/file.h"
#include "catch.h"
#include "kernel/retention.h"
#include "support/must.h"
#include "support/temporary.h"

namespace agentfs::test {
namespace {

constexpr std::int64_t kHour = std::int64_t{3'600} * 1'000'000'000;

// Of which the wall's can be set.
class SetClock final : public Clock {
 public:
  std::int64_t wall() const override { return wall_; }
  std::int64_t steady() const override { return steady_; }
  void pass(std::int64_t time) {
    wall_ += time;
    steady_ += time;
  }
  void set(std::int64_t by) { wall_ += by; }

 private:
  std::int64_t wall_ = 20'000 * kDay;
  std::int64_t steady_ = 0;
};

class Steps {
 public:
  Steps() { start(); }
  void start() {
    steps_.emplace(place_.path("clock"), clock);
    steps_->look();
  }
  // Each minute, as a daemon.
  void pass(std::int64_t time) {
    for (; time > 0; time -= kHour / 60) {
      clock.pass(kHour / 60);
      steps_->look();
    }
  }
  void set(std::int64_t by) {
    clock.set(by);
    steps_->look();
  }
  std::int64_t age_of(std::int64_t time) const { return clock.wall() - steps_->by_now(time); }

  std::string file() const { return place_.path("clock"); }

  SetClock clock;

 private:
  TemporaryDirectory place_;
  std::optional<ClockSteps> steps_;
};

TEST_CASE("Where no clock is set, times are what they are") {
  Steps steps;
  const std::int64_t made = steps.clock.wall();
  steps.pass(kDay);
  CHECK(steps.age_of(made) == kDay);
  steps.start();
  CHECK(steps.age_of(made) == kDay);
  steps.clock.pass(3 * kDay);  // no daemon runs
  steps.start();
  CHECK(steps.age_of(made) == kDay);  // unless the clock is wrong
  SECTION("one daemon that runs for an hour") { steps.pass(kHour); }
  SECTION("several") {
    for (int i = 0; i < 3; ++i) {
      steps.pass(kHour / 3);
      steps.start();
    }
  }
  CHECK(steps.age_of(made) == 4 * kDay + kHour);
  CHECK(steps.age_of(made - kDay) == 5 * kDay + kHour);
}

TEST_CASE("A clock that is ahead at a start and set right soon has aged nothing") {
  Steps steps;
  const std::int64_t made = steps.clock.wall();
  steps.pass(2 * kHour);
  steps.clock.set(100 * kDay);
  steps.start();
  CHECK(steps.age_of(made) == 2 * kHour);
  const std::int64_t ahead = steps.clock.wall();
  steps.pass(kHour / 2);
  SECTION("by the daemon that runs") { steps.set(-100 * kDay); }
  SECTION("before the next") {
    steps.clock.set(-100 * kDay);
    steps.start();
  }
  steps.pass(2 * kHour);
  steps.start();
  CHECK(steps.age_of(made) <= 5 * kHour);
  CHECK(steps.age_of(ahead) <= 3 * kHour);
}

TEST_CASE("A record with a flipped bit is none, and ages nothing") {
  Steps steps;
  steps.set(-100 * kDay);
  steps.pass(2 * kHour);
  const std::int64_t made = steps.clock.wall();
  const std::string whole = must(file::read(steps.file()));
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string flipped = whole;
    flipped[at] ^= 2;
    must(file::replace(steps.file(), flipped, 0600));
    steps.start();
    CHECK(steps.age_of(made) == 0);
  }
}

TEST_CASE("What was made while the clock was behind is as old as it is once that is set right") {
  Steps steps;
  const std::int64_t before = steps.clock.wall();
  steps.set(-100 * kDay);
  const std::int64_t made = steps.clock.wall();
  steps.pass(2 * kHour);
  CHECK(steps.age_of(made) == 2 * kHour);
  SECTION("by the daemon that runs") {}
  SECTION("after a restart") { steps.start(); }
  steps.set(100 * kDay);
  CHECK(steps.age_of(made) == 2 * kHour);
  CHECK(steps.age_of(before) == 2 * kHour);
  steps.pass(kHour);
  steps.start();
  CHECK(steps.age_of(made) == 3 * kHour);
}

TEST_CASE("A clock that is right again at the next start was behind before") {
  Steps steps;
  const std::int64_t before = steps.clock.wall();
  steps.clock.set(-100 * kDay);
  steps.start();
  const std::int64_t made = steps.clock.wall();
  steps.pass(2 * kHour);
  CHECK(steps.age_of(made) == 2 * kHour);
  CHECK(steps.age_of(before) == 2 * kHour);
  steps.clock.set(100 * kDay);
  steps.start();
  CHECK(steps.age_of(made) <= 4 * kHour);
  CHECK(steps.age_of(before) <= 4 * kHour);
}

TEST_CASE("A clock that was ahead for a while has aged nothing") {
  Steps steps;
  const std::int64_t made = steps.clock.wall();
  steps.pass(kHour);
  steps.set(40 * kDay);
  CHECK(steps.age_of(made) == kHour);
  const std::int64_t ahead = steps.clock.wall();
  steps.pass(kHour);
  steps.set(-40 * kDay);
  CHECK(steps.age_of(made) == 2 * kHour);
  CHECK(steps.age_of(ahead) == kHour);
  const std::int64_t after = steps.clock.wall();
  steps.pass(kHour);
  CHECK(steps.age_of(after) == kHour);
}

TEST_CASE("A clock that is set a thousand times is known as far as it matters") {
  Steps steps;
  for (int i = 0; i < 1'100; ++i) steps.set(i % 2 == 0 ? 2 * kHour : -2 * kHour);
  const std::int64_t made = steps.clock.wall();
  steps.set(50 * kDay);
  CHECK(steps.age_of(made) == 0);
}

}  // namespace
}  // namespace agentfs::test
