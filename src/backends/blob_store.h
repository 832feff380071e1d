// SPDX-License-Identifier: MIT
// Bytes named by their hash.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace agentfs {

// Threads: all. A blob never changes; put() of the same bytes twice keeps one.
class BlobStore {
 public:
  virtual ~BlobStore() = default;
  virtual Result<std::string> put(std::string_view bytes) = 0;       // the BLAKE2b hash in hex
  virtual Result<std::string> get(std::string_view hash) const = 0;  // ENOENT; EBADMSG if damaged
  // After it, what was put before survives the loss of power; without it, the daemon's death.
  virtual Status sync() { return ok(); }
};

}  // namespace agentfs
