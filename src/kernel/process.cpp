// SPDX-License-Identifier: MIT
#include "kernel/process.h"

#include <algorithm>
#include <array>
#include <utility>

namespace agentfs {
namespace {

using enum RunState;

struct StateRow {
  RunState state{};
  std::string_view name{};
  unsigned next = 0;  // set of the states that may follow
};

constexpr unsigned bit(RunState state) { return 1u << std::to_underlying(state); }

template <class... States>
constexpr unsigned set(States... states) {
  return (bit(states) | ...);
}

// Where a run is under way, whatever it waits for.
constexpr unsigned kAtWork = set(running, waiting_model, waiting_tool, waiting_approval);
constexpr unsigned kAtRest = set(idle, queued);

constexpr std::array kStates = {
    StateRow{idle, "idle", set(queued, stopped, dead)},
    StateRow{queued, "queued", set(idle, running, stopped, dead)},
    StateRow{running, "running", kAtWork | kAtRest | set(stopped, draining, dead)},
    StateRow{waiting_model, "waiting-model", kAtWork | kAtRest | set(stopped, draining, dead)},
    StateRow{waiting_tool, "waiting-tool", kAtWork | kAtRest | set(stopped, draining, dead)},
    StateRow{waiting_approval, "waiting-approval",
             kAtWork | kAtRest | set(stopped, draining, dead)},
    StateRow{stopped, "stopped", kAtWork | kAtRest | set(draining, dead)},
    StateRow{draining, "draining", set(dead)},
    StateRow{dead, "dead", 0},
};

constexpr const StateRow& row_of(RunState state) {
  return kStates[static_cast<std::size_t>(std::to_underlying(state))];
}

consteval bool rows_are_in_order() {
  for (std::size_t i = 0; i < kStates.size(); ++i) {
    if (static_cast<std::size_t>(std::to_underlying(kStates[i].state)) != i) return false;
  }
  return true;
}
static_assert(rows_are_in_order());

constexpr std::array<std::string_view, 6> kCallNames = {"pending", "running",     "done",
                                                        "failed",  "interrupted", "cancelled"};

}  // namespace

std::string_view name(RunState state) { return row_of(state).name; }

std::optional<RunState> parse_run_state(std::string_view word) {
  const auto found = std::ranges::find(kStates, word, &StateRow::name);
  if (found == kStates.end()) return std::nullopt;
  return found->state;
}

bool may_follow(RunState from, RunState to) { return (row_of(from).next & bit(to)) != 0; }

std::string_view name(Call::State state) {
  return kCallNames[static_cast<std::size_t>(std::to_underlying(state))];
}

}  // namespace agentfs
