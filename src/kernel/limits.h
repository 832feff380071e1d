// SPDX-License-Identifier: MIT
// Budgets as text: "tokens=10000,usd=0.5,calls=20,turns=8,wall=10m".
#pragma once

#include <string>
#include <string_view>

#include "backends/model_driver.h"
#include "base/error.h"
#include "kernel/process.h"

namespace agentfs {

// Pairs separated by commas or white space, or "none" for no limit at all; a limit is at least 1 of
// its kind, or "none". What is left out is as in `others`. EINVAL names the pair, the value seen
// and what would do.
Result<Limits> parse_limits(std::string_view text, const Limits& others = {});
// The limits that are set, in the same form; "" where there are none.
std::string show(const Limits& limits);

// What of `limits` the usage is beyond: "tokens", "usd", "calls", "turns", "wall" or "". A
// `spending` asks whether there is something left to begin it with.
enum class Spending { nothing, turn, call };
std::string_view exceeded(const Limits& limits, const Usage& usage, Spending spending);
// "spent tokens 10012 of 10000".
std::string show_exceeded(const Limits& limits, const Usage& usage, std::string_view resource);

// EPERM where a limit that `wanted` sets is larger than that of `most`; "<who> cannot have more …".
Status check_within(const Limits& wanted, const Limits& most, std::string_view who);

// What the usage leaves of the limits. A limit that is spent leaves 1, since 0 would be none: with
// nothing left nothing begins, which its owner is told elsewhere.
Limits left(const Limits& limits, const Usage& usage);

// What the tokens cost, in millionths of a dollar; cached ones at their own price where there is
// one.
std::int64_t price(const ModelSettings& settings, const TokenUsage& usage);

// Of a parent's and a child's limit the smaller one, each.
Limits narrowed(const Limits& child, const Limits& parent);

}  // namespace agentfs
