// SPDX-License-Identifier: MIT
// What takes long to find out is told again, for as long as it may be a little old.
#include "base/clock.h"
#include "catch.h"
#include "fs/vfs/recent_attributes.h"
#include "support/must.h"

namespace agentfs::test {
namespace {

using vfs::Attributes;
using vfs::RecentAttributes;

constexpr std::int64_t kMillisecond = 1'000'000;

// Attributes that take so long to find, and are another time each time.
class Slow {
 public:
  Slow(FakeClock& clock, std::int64_t takes) : clock_(clock), takes_(takes) {}
  Attributes ask(const Caller& caller = {}) {
    return must(recent_.of(caller, clock_, [&]() -> Result<Attributes> {
      clock_.advance(takes_);
      Attributes answer{.validity = 1};
      answer.attributes.st_mtim.tv_sec = ++found_;
      return answer;
    }));
  }
  std::int64_t found() const { return found_; }

 private:
  FakeClock& clock_;
  const std::int64_t takes_;
  std::int64_t found_ = 0;
  RecentAttributes recent_;
};

TEST_CASE("Attributes that take long are told again, in all no longer than they may be used") {
  FakeClock clock;
  Slow slow(clock, 100 * kMillisecond);
  CHECK(slow.ask().attributes.st_mtim.tv_sec == 1);
  clock.advance(300 * kMillisecond);
  const Attributes again = slow.ask();
  CHECK(again.attributes.st_mtim.tv_sec == 1);
  CHECK(again.validity == Approx(0.6));
  clock.advance(599 * kMillisecond);
  CHECK(slow.ask().attributes.st_mtim.tv_sec == 1);
  clock.advance(2 * kMillisecond);
  CHECK(slow.ask().attributes.st_mtim.tv_sec == 2);
}

TEST_CASE("Attributes are told again for so many times as long as they took") {
  FakeClock clock;
  Slow slow(clock, kMillisecond);
  slow.ask();
  clock.advance(18 * kMillisecond);
  CHECK(slow.ask().attributes.st_mtim.tv_sec == 1);
  clock.advance(2 * kMillisecond);
  CHECK(slow.ask().attributes.st_mtim.tv_sec == 2);
}

TEST_CASE("Attributes that are found at once are found out each time, and for each caller") {
  FakeClock clock;
  Slow quick(clock, 0);
  quick.ask();
  quick.ask();
  CHECK(quick.found() == 2);
  Slow slow(clock, 100 * kMillisecond);
  Caller other;
  other.host.uid = 1000;
  slow.ask();
  CHECK(slow.ask(other).attributes.st_mtim.tv_sec == 2);
}

}  // namespace
}  // namespace agentfs::test
