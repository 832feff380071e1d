// SPDX-License-Identifier: MIT
// The key of a model's server: read when it is needed, kept out of everything that is shown.
#pragma once

#include <string>
#include <string_view>

#include "backends/model_driver.h"
#include "base/error.h"

namespace agentfs::http {

// A value type; empty where the settings name no key. Threads: all, after it was made.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string key) : key_(std::move(key)) {}
  // Reads the key from where the settings say. EINVAL where it is not to be had, or where it holds
  // bytes that a header cannot.
  static Result<Secret> read(const ModelSettings& settings);

  const std::string& key() const { return key_; }
  // The text with "[redacted]" for the key, also for a key that the end of the text cuts off.
  std::string redacted(std::string_view text) const;

 private:
  std::string key_;
};

}  // namespace agentfs::http
