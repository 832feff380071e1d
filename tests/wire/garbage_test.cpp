// SPDX-License-Identifier: MIT
// Requests that no kernel sends. A session answers them with an errno and goes on.
#include <fcntl.h>

#include <random>

#include "catch.h"
#include "wire/served.h"

namespace agentfs::test {
namespace {

// Those whose body says how long another part of it is are libfuse's to check, and it does not.
bool is_safe(std::uint32_t opcode) {
  return opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET && opcode != FUSE_INTERRUPT &&
         opcode != FUSE_NOTIFY_REPLY && opcode != FUSE_INIT && opcode != FUSE_DESTROY &&
         opcode != FUSE_WRITE && opcode != FUSE_SETXATTR;
}

}  // namespace

TEST_CASE("wire: bodies that are missing do not end a session") {
  Served served;
  for (std::uint32_t opcode = 1; opcode < 60; ++opcode) {
    if (!is_safe(opcode)) continue;
    CAPTURE(opcode);
    for (const std::uint64_t node : {std::uint64_t{1}, std::uint64_t{0}, ~std::uint64_t{0}}) {
      CHECK(code_of(served.wire().call(opcode, node, "")) != ETIMEDOUT);
    }
  }
  CHECK(served.read_all("/value") == "first\n");
}

TEST_CASE("wire: random bodies do not end a session") {
  Served served({.threads = 4});
  std::mt19937 random(20'24);
  const auto below = [&](std::uint32_t limit) {
    return static_cast<std::uint32_t>(random() % limit);
  };
  std::vector<std::uint64_t> nodes{1, 0, 999};
  for (const char* const path : {"/value", "/ctl", "/answer", "/data", "/wait", "/link"}) {
    nodes.push_back(served.wire().walk(path)->nodeid);
  }
  const auto ctl = served.open("/ctl", O_RDWR);
  std::vector<std::uint64_t> numbers;
  for (int round = 0; round < 2000; ++round) {
    std::string body;
    if (below(2) == 0) body = wire_bytes(ctl.handle);
    const std::uint32_t length = below(200);
    for (std::uint32_t i = 0; i < length; ++i) {
      body.push_back(below(3) == 0 ? '\0' : static_cast<char>(below(256)));
    }
    body += std::string(64, '\0');
    const std::uint32_t opcode = 1 + below(60);
    if (!is_safe(opcode)) continue;
    numbers.push_back(served.wire().send(opcode, nodes[below(9)], body));
    if (numbers.size() % 50 == 0) REQUIRE(served.wire().attributes(1));
  }
  CHECK(served.wire().attributes(1));
  // What is parked now waits for good; the rest has been answered.
  std::size_t answered = 0;
  std::size_t interrupts = 0;
  for (const std::uint64_t number : numbers) {
    if (!served.wire().is_answered(number)) {
      served.wire().interrupt(number);
      ++interrupts;
    }
    if (code_of(served.wire().await(number)) != ETIMEDOUT) ++answered;
  }
  // Each request takes away one interrupt that came too late.
  for (std::size_t i = 0; i < interrupts; ++i) CHECK(served.wire().attributes(1));
  CHECK(answered == numbers.size());
}

}  // namespace agentfs::test
