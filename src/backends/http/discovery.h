// SPDX-License-Identifier: MIT
// Finding a model when none was configured.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "backends/model_driver.h"

namespace agentfs {

// Settings from OPENAI_API_KEY, OPENAI_BASE_URL and OPENAI_MODEL, named "default"; nothing where
// neither of the first two is set. The key itself is not read. `variable` is getenv(3) or a fake.
std::optional<ModelSettings> settings_from_environment(
    const std::function<const char*(const char*)>& variable);
std::optional<ModelSettings> settings_from_environment();

inline const std::vector<std::uint16_t> kLocalModelPorts = {11434, 8080};

// The first port of this machine at which a server lists a model (GET /v1/models), with the first
// model that is not one for embeddings; named "default". Blocks for at most the timeout a port: for
// the start of the mount only.
std::optional<ModelSettings> discover_local(
    const std::vector<std::uint16_t>& ports = kLocalModelPorts,
    std::chrono::milliseconds timeout = std::chrono::milliseconds(200));

}  // namespace agentfs
