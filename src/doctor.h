// SPDX-License-Identifier: MIT
// `agentfs doctor`: what this machine has of what agentfs needs, a line each.
#pragma once

#include <string>

namespace agentfs {

// Prints "ok|FAIL|note <what>: <found>; <what to do>". Returns the exit status: 1 when something
// without which nothing works is missing. Changes nothing.
int run_doctor(const std::string& state);

}  // namespace agentfs
