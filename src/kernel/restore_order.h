// SPDX-License-Identifier: MIT
// A restore of more than one path, on the disk while it is under way.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernel/namespace.h"
#include "kernel/stored_caller.h"

namespace agentfs {

class Kernel;

// STATE/restores/<name>: what a crash cuts short the next start ends. A value.
struct RestoreOrder {
  std::vector<RestoreStep> steps{};
  StoredCaller by{};

  std::string text() const;
  static Result<RestoreOrder> parse(std::string_view text);  // EBADMSG
};

// There as long as this lives: a restore that fails is told to who asked, and not tried again.
class StoredRestore {
 public:
  // What takes one step is there or not, and needs no order.
  static Result<StoredRestore> begin(const Kernel& kernel, const Caller& caller,
                                     const std::vector<RestoreStep>& steps);
  StoredRestore(StoredRestore&& other) noexcept : file_(std::exchange(other.file_, {})) {}
  StoredRestore& operator=(StoredRestore&&) = delete;
  ~StoredRestore();

 private:
  explicit StoredRestore(std::string file) : file_(std::move(file)) {}
  std::string file_;
};

// Those that a crash left, before the first request.
void resume_restores(Kernel& kernel);

}  // namespace agentfs
