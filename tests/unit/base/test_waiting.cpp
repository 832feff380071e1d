// SPDX-License-Identifier: MIT
#include <thread>

#include "base/waiting.h"
#include "catch.h"

namespace agentfs::test {

TEST_CASE("what a thread has set is run when it is about to wait, and no other thread's",
          "[base]") {
  int runs = 0;
  about_to_wait();
  set_about_to_wait([&] { ++runs; });
  about_to_wait();
  std::thread(about_to_wait).join();
  CHECK(runs == 1);
  set_about_to_wait({});
  about_to_wait();
  CHECK(runs == 1);
}

}  // namespace agentfs::test
