// SPDX-License-Identifier: MIT
// The tool delete went down a directory by calling itself: 15,000 levels, which any command can
// make, had no room on a thread's stack, and the daemon was gone, again after each start.
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include <functional>

#include "base/file.h"
#include "catch.h"
#include "kernel/syscalls/fs.h"
#include "kernel/syscalls/gate.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

constexpr int kLevels = 5'000;
constexpr std::size_t kStack = std::size_t{1} << 20U;

void* run(void* act) {
  (*static_cast<std::function<void()>*>(act))();
  return nullptr;
}

// On a thread of its own, whose stack has so many bytes.
void on_small_stack(std::function<void()> act) {
  pthread_attr_t attributes{};
  REQUIRE(::pthread_attr_init(&attributes) == 0);
  REQUIRE(::pthread_attr_setstacksize(&attributes, kStack) == 0);
  pthread_t thread{};
  REQUIRE(::pthread_create(&thread, &attributes, run, &act) == 0);
  REQUIRE(::pthread_join(thread, nullptr) == 0);
  (void)::pthread_attr_destroy(&attributes);
}

TEST_CASE("A tool deletes a directory however deep it is") {
  TreeWorld world;
  const std::string top = world.base().state() + "/trees/workspaces/site/deep";
  REQUIRE(file::make_directories(top));
  UniqueFd at(::open(top.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int level = 0; level < kLevels; ++level) {
    REQUIRE(::mkdirat(at.get(), "d", 0755) == 0);
    at.reset(::openat(at.get(), "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    REQUIRE(at);
  }
  at.reset();
  const ProcessId pid = world.base().spawn({.workspace = "site"});
  const Caller agent = world.kernel().agent(pid, "call:1");
  on_small_stack([&] { CHECK(agent.call(agentfs::fs::Delete{"deep"})); });
  CHECK_FALSE(file::exists(top));
}

TEST_CASE("A tool makes the directories of a path however many, and no path beyond the host's") {
  TreeWorld world;
  const ProcessId pid = world.base().spawn({.workspace = "site"});
  const Caller agent = world.kernel().agent(pid, "call:1");
  std::string path;
  for (int level = 0; level < 1'500; ++level) path += "d/";
  on_small_stack([&] { CHECK(agent.call(agentfs::fs::Write{path + "f", "text"})); });
  for (int level = 0; level < 1'500; ++level) path += "d/";
  const auto refused = agent.call(agentfs::fs::Write{path + "f", "text"});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ENAMETOOLONG);
}

}  // namespace
}  // namespace agentfs::test
