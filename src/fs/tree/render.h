// SPDX-License-Identifier: MIT
// How objects of the kernel look as text and as JSON.
#pragma once

#include <string>

#include "kernel/kernel.h"

namespace agentfs::tree {

std::string render_status(const Process& process);  // "Key:\tvalue" lines
std::string render_usage(const Process& process);
json::Value describe(const Process& process);
json::Value describe(const Message& message);
json::Value describe(const Call& call);
std::string message_name(const Message& message);  // "0001-user.md"
std::string dollars(std::int64_t micro_usd);       // "0.001234"
std::string when(std::int64_t wall_nanoseconds);   // a timestamp; "" for 0
std::string seconds(std::int64_t nanoseconds);     // "1.500"

}  // namespace agentfs::tree
