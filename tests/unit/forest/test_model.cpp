// SPDX-License-Identifier: MIT
// Random operations on several trees, their forks and snapshots, against a model in memory; all is
// compared whole after each. AGENTFS_SEEDS tells how many runs, AGENTFS_SEED the first.
#include <cstdlib>
#include <optional>
#include <sstream>

#include "../trees/tree_fixture.h"
#include "backends/trees/forest_check.h"
#include "driver.h"

namespace agentfs::test {
namespace {

unsigned from_environment(const char* name, unsigned otherwise) {
  const char* const value = std::getenv(name);
  return value == nullptr ? otherwise : static_cast<unsigned>(std::strtoul(value, nullptr, 10));
}

constexpr unsigned kSteps = 120;

ForestOptions options_of(unsigned seed) {
  ForestOptions options;
  if (seed % 3 == 1) options.descriptors = 4;
  if (seed % 3 == 2) options.file_handles = options.trusted = false;
  if (seed % 2 == 1) options.part = {};
  return options;
}

// Nothing of what nobody has damaged.
std::string what_fsck_says(const TemporaryDirectory& base, const ForestOptions& options) {
  const auto found = check_forest(base.path("trees"), base.path("hidden"), options);
  if (!found) return found.error().message;
  return fmt::format("{}", fmt::join(found->problems, "; "));
}

void run(unsigned seed, unsigned steps) {
  const TemporaryDirectory base;
  World world(seed);
  std::optional<Driver> driver(std::in_place, base.path(), options_of(seed));
  std::ostringstream log;
  for (unsigned i = 0; i < steps; ++i) {
    const Operation operation = world.step();
    log << i << ": " << operation.shown() << "\n";
    const std::string wrong = driver->apply(operation, world);
    INFO("seed " << seed << "\n" << log.str());
    REQUIRE(wrong == "");
    REQUIRE(driver->compare(world, true) == "");
    if (i % 8 == 0) REQUIRE(driver->compare_differences(world) == "");
  }
  driver.reset();
  INFO("seed " << seed << "\n" << log.str());
  REQUIRE(what_fsck_says(base, options_of(seed)) == "");
}

TEST_CASE("A forest is what a model of it is, after each of many random operations") {
  const unsigned first = from_environment("AGENTFS_SEED", 1);
  const unsigned count = from_environment("AGENTFS_SEEDS", 6);
  const unsigned steps = from_environment("AGENTFS_STEPS", kSteps);
  for (unsigned seed = first; seed < first + count; ++seed) run(seed, steps);
}

}  // namespace
}  // namespace agentfs::test
