// SPDX-License-Identifier: MIT
// A language model that answers chat requests.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/completion.h"
#include "base/json.h"

namespace agentfs {

// Settings of one model: /etc/models/<name>.toml after defaults. A key is never in here in a form
// that is shown: `secret_*` name the place it is read from at each request.
struct ModelSettings {
  std::string name;                   // of /dev/llm/<name>
  std::string driver = "openai";      // or "script"
  std::string base_url;               // "http://127.0.0.1:11434/v1"
  std::string model;                  // the provider's id for it
  std::string secret_environment;     // name of an environment variable with the key
  std::string secret_file;            // or a host file with it
  std::string scenario;               // script driver: host path of the scenario file
  std::vector<std::string> fallback;  // names of models tried in turn when this one cannot answer
  double usd_per_million_in = 0;
  double usd_per_million_out = 0;
  double usd_per_million_cached = 0;
  std::int64_t context_tokens = 128'000;
  std::int64_t max_output_tokens = 0;  // 0: not sent
  double temperature = -1;             // below 0: not sent
  std::int64_t connect_timeout_ms = 10'000;
  std::int64_t idle_timeout_ms = 120'000;   // without a byte from the server
  std::int64_t total_timeout_ms = 900'000;  // all attempts and waits together
  std::int64_t max_attempts = 6;
  std::int64_t backoff_ms = 500;  // doubled an attempt, with jitter, at most 30 s
  bool stream = true;
};

struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;  // JSON text as the model gave it; may be invalid
};

struct TokenUsage {
  std::int64_t input = 0;  // includes cached
  std::int64_t output = 0;
  std::int64_t cached = 0;
  bool estimated = false;  // the server sent none: counted as bytes / 4
};

// Messages and tools in the form of OpenAI's chat completions.
struct ChatRequest {
  ModelSettings settings;
  json::Array messages;
  json::Array tools;  // may be empty
};

struct ChatReply {
  std::string text;
  std::vector<ToolCall> calls;
  TokenUsage usage;
  std::string finish_reason;  // "stop", "tool_calls", "length", …
  std::string model;          // what answered, as the server names it
  std::string answered_by;    // its name in /dev/llm, or a fallback's; set by the kernel
  std::int64_t attempts = 1;
};

struct ModelProgress {
  enum class Kind { text, call, retry } kind = Kind::text;
  std::string text;  // the delta; the name of a begun tool call; the reason of a retry
};

// Threads: start() from any; callbacks come on the driver's thread and must not block. Errors:
// EHOSTDOWN nobody listens, ETIMEDOUT, EACCES for 401 and 403 (key not accepted), EREMOTEIO the
// server answered wrongly or with another failure, EBADMSG an answer that is not understood,
// EINVAL settings that cannot work, EINTR cancelled. Retried inside the driver: what may pass
// (408, 409, 429, 5xx, broken connections), honouring Retry-After.
class ModelDriver {
 public:
  using Progress = std::function<void(const ModelProgress&)>;
  virtual ~ModelDriver() = default;
  virtual void start(ChatRequest request, Progress progress, Completion<ChatReply> done) = 0;
};

}  // namespace agentfs
