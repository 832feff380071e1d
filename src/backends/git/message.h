// SPDX-License-Identifier: MIT
// What the daemon and agentfs-commit say to each other.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "backends/repo.h"
#include "base/error.h"

namespace agentfs::git {

// The program's standard input, read from its start to its end.
struct Order {
  TurnCommit commit;
  // A ref's lock from before this second was left by a program that was killed.
  std::int64_t locks_from = 0;
};

// Fields of a letter, a length, ':' and the bytes: any byte may stand in any of them. The last one
// says that it is the last: EBADMSG for an order that was cut short.
std::string encode(const Order& order);
Result<Order> decode_order(std::string_view text);

// The last line of its standard output; those before are for the log.
std::string encode(const Result<std::string>& made);
// EBADMSG where the line is none of ours.
Result<std::string> decode_made(std::string_view line);

}  // namespace agentfs::git
