// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <utility>

namespace agentfs {

// Something lasts for as long as this, or a copy of it, lives: whoever gives one says what. Empty:
// nothing does.
using Hold = std::shared_ptr<const void>;

// Lasts until `end` is called, when the last copy goes.
template <class End>
Hold hold_until(End end) {
  return Hold(nullptr, [end = std::move(end)](const void*) { end(); });
}

}  // namespace agentfs
