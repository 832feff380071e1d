// SPDX-License-Identifier: MIT
// What the script model plays: scenario files.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/model_driver.h"
#include "base/error.h"
#include "base/expression.h"
#include "base/json.h"

namespace agentfs::script {

// A scenario is a JSON object:
//
//   {"name": "repair",                      what it is called in sentences
//    "tasks": [                             the first whose match fits the last user message plays
//      {"match": "make the tests pass",
//       "steps": [ … ],
//       "after": "It is done."}],           the answer when the steps are used up
//    "after": "Done."}                      for tasks without their own
//
// or the same with "steps" in place of "tasks", for one task that fits every message. A step:
//
//   {"text": "I read the file.",            what is said; may be left out
//    "calls": [{"name": "read", "arguments": {"path": "main.c"}}],   without calls the run ends
//    "when": "tests",                       the step is there only where this fits the message
//    "repeat": 3,                           the step is there so many times (1)
//    "delay_ms": 20,                        the answer takes that long (0)
//    "usage": {"input": 10, "output": 5, "cached": 0}}   else counted: bytes / 4
//
// "match" and "when" are a substring, "*" for any message, or "/regular expression/" (as RE2
// has them), which sees the first 64 KiB of the message.
//
// In "text" and in the strings of "arguments" {{last_user}} stands for the last user message and
// {{result:N}} for the first line, trimmed, of the N-th tool result since then (from 1).
struct Step {
  std::string text;
  struct Call {
    std::string name;
    json::Value arguments;
  };
  std::vector<Call> calls;
  std::int64_t delay_ms = 0;
  std::optional<TokenUsage> usage{};
};

// A substring, "*" or "/regular expression/".
class Pattern {
 public:
  static Result<Pattern> parse(std::string_view text);
  bool fits(std::string_view message) const;
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::optional<Expression> expression_{};
};

struct Task {
  struct Part {
    Step step;
    std::optional<Pattern> when{};
    std::int64_t repeat = 1;
  };
  Pattern match;
  std::vector<Part> parts;
  std::string after;

  // The step of that index (from 0) among those that are there for the message; null after the
  // last.
  const Step* find(std::int64_t index, std::string_view message) const;
};

// Immutable; threads: all.
struct Scenario {
  std::string name;
  std::vector<Task> tasks;

  // EBADMSG with the place ("tasks[0].steps[2].calls") and what would do there.
  static Result<Scenario> parse(std::string_view text);
  const Task* find(std::string_view message) const;
};

}  // namespace agentfs::script
