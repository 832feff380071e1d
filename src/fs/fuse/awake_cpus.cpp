// SPDX-License-Identifier: MIT
#include "fs/fuse/awake_cpus.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <limits>
#include <thread>

#include "base/text.h"

namespace agentfs::fuse {
namespace {

constexpr const char* kDevice = "/dev/cpu_dma_latency";
constexpr const char* kDriver = "/sys/devices/system/cpu/cpuidle/current_driver";
constexpr const char* kPollTime = "/sys/module/haltpoll/parameters/guest_halt_poll_ns";

// A program that works on files asks again within it, mostly.
constexpr std::chrono::milliseconds kMoment(5);
// Of a hypervisor's wake-up, so that a CPU that polls as long is awake for the next request.
constexpr long kWakeUpNanoseconds = 50'000;

constexpr std::int32_t kNoLatency = 0;
constexpr std::int32_t kAnyLatency = std::numeric_limits<std::int32_t>::max();

std::string setting(const char* path) {
  return std::string(text::trim(file::read(path).value_or("")));
}

bool is_virtual_machine() {
  const std::string about = file::read("/proc/cpuinfo").value_or("");
  const auto flags = about.find("\nflags");
  if (flags == std::string::npos) return false;
  const auto line = about.substr(flags, about.find('\n', flags + 1) - flags);
  return line.find(" hypervisor") != std::string::npos;
}

}  // namespace

void AwakeCpus::want(std::int32_t microseconds) {
  static_cast<void>(!::write(device_.get(), &microseconds, sizeof microseconds));
}

void AwakeCpus::hold() {
  if (is_held_.exchange(true)) return;
  loop_.post([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->want(kNoLatency);
    self->look();
  });
}

void AwakeCpus::look() {
  if (has_come_.exchange(false)) {
    loop_.after(kMoment, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->look();
    });
    return;
  }
  is_held_ = false;  // from here on who asks posts what comes after this
  want(kAnyLatency);
  if (has_come_) hold();
}

// Other drivers than haltpoll know what it costs to wake a CPU from each of their states, and are
// left to choose; haltpoll takes a halt for 1 us, whatever the hypervisor makes of it.
IdleCpus idle_cpus() {
  if (std::thread::hardware_concurrency() < 2) return {.text = "one CPU, which has work meanwhile"};
  const std::string driver = setting(kDriver);
  if (driver.empty() || driver == "none") {
    if (!is_virtual_machine()) return {.text = "left to the kernel"};
    return {.halt = true,
            .text = "this machine's halt between two requests, and a hypervisor wakes them",
            .advice =
                "as root, modprobe cpuidle_haltpoll force=1, and names are several times "
                "as fast"};
  }
  if (driver != "haltpoll") return {.text = fmt::format("left to the kernel's {}", driver)};
  if (::access(kDevice, W_OK) == 0) {
    return {.may_be_awake = true,
            .halt = true,
            .text = "kept from halting while files are used, unless -o nobusy_poll is given"};
  }
  const std::string poll_time = setting(kPollTime);
  if (text::number<long>(poll_time).value_or(0) >= kWakeUpNanoseconds) {
    return {.text = fmt::format("poll for {} ns before they halt", poll_time)};
  }
  const std::string poll = fmt::format("echo 200000 > {}", kPollTime);
  if (::access(kDevice, F_OK) != 0) {
    return {.halt = true,
            .text = fmt::format("halt between two requests; there is no {} here", kDevice),
            .advice = fmt::format("give the container the device, or have the machine's root {}: "
                                  "names are several times as fast",
                                  poll)};
  }
  return {.halt = true,
          .text = fmt::format("halt between two requests; {} is root's alone to write", kDevice),
          .advice =
              fmt::format("mount as root, or have root {}: names are several times as fast", poll)};
}

std::shared_ptr<AwakeCpus> keep_awake(EventLoop& loop) {
  if (!idle_cpus().may_be_awake) return nullptr;
  UniqueFd device(::open(kDevice, O_WRONLY | O_CLOEXEC));
  if (!device) return nullptr;
  return std::make_shared<AwakeCpus>(loop, std::move(device));
}

}  // namespace agentfs::fuse
