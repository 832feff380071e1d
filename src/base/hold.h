// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

namespace agentfs {

// Something lasts for as long as this, or a copy of it, lives: whoever gives one says what. Empty:
// nothing does.
using Hold = std::shared_ptr<const void>;

}  // namespace agentfs
