// SPDX-License-Identifier: MIT
// The same operations in a process that is killed at any instant: what the next one finds is what
// the model was before or after the operation it was at.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <new>

#include "../trees/tree_fixture.h"
#include "driver.h"

namespace agentfs::test {
namespace {

constexpr unsigned kSteps = 80;
constexpr unsigned kStepsAfter = 15;

struct Progress {
  std::atomic<unsigned> started = 0;
  std::atomic<unsigned> done = 0;
  std::atomic<bool> wrong = false;
};

ForestOptions options_of(unsigned seed) {
  ForestOptions options{.file_handles = seed % 2 == 0, .trusted = seed % 2 == 0};
  if (seed % 4 < 2) options.part = {};
  return options;
}

[[noreturn]] void run_until_killed(const std::string& base, unsigned seed, Progress& progress) {
  World world(seed);
  Driver driver(base, options_of(seed));
  for (unsigned i = 0; i < kSteps; ++i) {
    const Operation operation = world.step();
    progress.started = i + 1;
    if (const std::string wrong = driver.apply(operation, world); !wrong.empty()) {
      fmt::print(stderr, "{}: {}\n", operation.shown(), wrong);
      progress.wrong = true;
    }
    progress.done = i + 1;
  }
  ::_exit(0);
}

void kill_within(pid_t child, unsigned step, std::chrono::microseconds delay,
                 const Progress& progress) {
  const auto ended = [&] { return ::waitpid(child, nullptr, WNOHANG) == child; };
  while (progress.started < step) {
    if (ended()) return;
  }
  const auto until = std::chrono::steady_clock::now() + delay;
  while (std::chrono::steady_clock::now() < until) {
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

World world_after(unsigned seed, unsigned steps) {
  World world(seed);
  for (unsigned i = 0; i < steps; ++i) world.step();
  return world;
}

void run(unsigned seed) {
  const TemporaryDirectory base;
  void* const memory =
      ::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  auto& progress = *new (memory) Progress;
  std::mt19937 random(seed);
  const unsigned step = 1 + static_cast<unsigned>(random()) % kSteps;
  const std::chrono::microseconds delay(random() % 400);
  const pid_t child = ::fork();
  if (child == 0) run_until_killed(base.path(), seed, progress);
  kill_within(child, step, delay, progress);
  const unsigned done = progress.done;
  const unsigned started = progress.started;
  const bool wrong = progress.wrong;
  ::munmap(memory, sizeof(Progress));
  INFO("seed " << seed << ", " << done << " of " << started << " done");
  REQUIRE(!wrong);
  World world = world_after(seed, done);
  Driver driver(base.path(), options_of(seed));
  std::string found = driver.compare(world, false);
  if (!found.empty() && started > done) {
    world = world_after(seed, started);
    INFO(found);
    REQUIRE(driver.compare(world, false) == "");
    found.clear();
  }
  REQUIRE(found == "");
  world.open().clear();
  for (unsigned i = 0; i < kStepsAfter; ++i) {
    world.forget_states();
    const Operation operation = world.step();
    INFO(operation.shown());
    REQUIRE(driver.apply(operation, world) == "");
    REQUIRE(driver.compare(world, false) == "");
  }
}

TEST_CASE("After a crash a forest is what it was before or after the operation under way") {
  const char* const first = std::getenv("AGENTFS_SEED");
  const char* const count = std::getenv("AGENTFS_SEEDS");
  const auto start = static_cast<unsigned>(first == nullptr ? 1 : std::atoi(first));
  const auto runs = static_cast<unsigned>(count == nullptr ? 10 : std::atoi(count));
  for (unsigned seed = start; seed < start + runs; ++seed) run(seed);
}

}  // namespace
}  // namespace agentfs::test
