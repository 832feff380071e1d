// SPDX-License-Identifier: MIT
// The script model's answer to a conversation: a pure function of both.
#pragma once

#include <cstdint>
#include <string>

#include "backends/model_driver.h"
#include "backends/script/scenario.h"
#include "base/json.h"

namespace agentfs::script {

struct Answer {
  ChatReply reply;
  std::int64_t delay_ms = 0;
};

// Plays the step whose index is the number of assistant messages since the last user message. Of
// these the ones with a tool result that begins with "interrupted:" do not count: their step is
// played again. Ids of calls are "call-<n>-<k>" with n the number of this answer in the whole
// conversation, so that no two calls of a conversation share one.
Answer play(const Scenario& scenario, const ChatRequest& request);

// The answer where no scenario is set: says that no language model is there, and what to do.
Answer introduce(const ChatRequest& request);

}  // namespace agentfs::script
