// SPDX-License-Identifier: MIT
#include "base/waiting.h"

#include <utility>

namespace agentfs {
namespace {

thread_local std::function<void()> leave_to_others;

}  // namespace

void about_to_wait() {
  if (leave_to_others) leave_to_others();
}

void set_about_to_wait(std::function<void()> act) { leave_to_others = std::move(act); }

}  // namespace agentfs
