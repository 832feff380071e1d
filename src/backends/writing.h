// SPDX-License-Identifier: MIT
// A change of a file's bytes that is under way.
#pragma once

#include <utility>

namespace agentfs {

// Held over a change made through an open file's descriptor; while it is, no fork is taken.
// Moving is allowed, keeping it beyond the one call that changes is not.
class Writing {
 public:
  using Release = void (*)(void* owner);
  Writing() = default;
  Writing(void* owner, Release release) : owner_(owner), release_(release) {}
  Writing(Writing&& other) noexcept
      : owner_(std::exchange(other.owner_, nullptr)), release_(other.release_) {}
  Writing& operator=(Writing&& other) noexcept {
    std::swap(owner_, other.owner_);
    std::swap(release_, other.release_);
    return *this;
  }
  ~Writing() {
    if (owner_ != nullptr) release_(owner_);
  }

 private:
  void* owner_ = nullptr;
  Release release_ = nullptr;
};

}  // namespace agentfs
