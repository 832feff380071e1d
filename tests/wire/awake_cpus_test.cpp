// SPDX-License-Identifier: MIT
// What the kernel is asked for while requests come, by a pipe in the place of its device.
#include "fs/fuse/awake_cpus.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <limits>
#include <optional>

#include "catch.h"

namespace agentfs::test {
namespace {

constexpr std::int32_t kAny = std::numeric_limits<std::int32_t>::max();

class Device {
 public:
  Device() {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    asked_ = UniqueFd(ends[0]);
    device_ = UniqueFd(ends[1]);
  }
  UniqueFd take() { return std::move(device_); }
  // The next latency; nothing once the device is closed.
  std::optional<std::int32_t> next() {
    pollfd readable{.fd = asked_.get(), .events = POLLIN, .revents = 0};
    REQUIRE(::poll(&readable, 1, 20'000) == 1);
    std::int32_t latency = -1;
    const auto got = ::read(asked_.get(), &latency, sizeof latency);
    if (got == 0) return std::nullopt;
    REQUIRE(got == sizeof latency);
    return latency;
  }

 private:
  UniqueFd asked_;
  UniqueFd device_;
};

}  // namespace

TEST_CASE("CPUs are kept awake from a request until none has come for a moment") {
  EventLoop loop;
  Device device;
  const auto awake = std::make_shared<fuse::AwakeCpus>(loop, device.take());
  for (int i = 0; i < 3; ++i) {
    awake->asked();
    CHECK(device.next() == 0);
    CHECK(device.next() == kAny);
  }
}

TEST_CASE("many requests ask the kernel once, and again only after it was told that none come") {
  EventLoop loop;
  Device device;
  const auto awake = std::make_shared<fuse::AwakeCpus>(loop, device.take());
  std::atomic<bool> enough = false;
  std::thread client([&] {
    while (!enough) awake->asked();
  });
  CHECK(device.next() == 0);
  enough = true;
  client.join();
  CHECK(device.next() == kAny);
  awake->asked();
  CHECK(device.next() == 0);
}

TEST_CASE("the kernel is asked for nothing any more once the sessions have gone") {
  EventLoop loop;
  Device device;
  auto awake = std::make_shared<fuse::AwakeCpus>(loop, device.take());
  awake->asked();
  awake.reset();
  std::optional<std::int32_t> latency = 0;
  while (latency) latency = device.next();
  CHECK_FALSE(latency);
}

}  // namespace agentfs::test
