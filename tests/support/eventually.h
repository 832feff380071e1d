// SPDX-License-Identifier: MIT
// Waiting for what happens elsewhere.
#pragma once

#include <chrono>
#include <thread>

namespace agentfs::test {

// Waits until the condition holds; false after twenty seconds.
template <class Condition>
bool eventually(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  return true;
}

}  // namespace agentfs::test
