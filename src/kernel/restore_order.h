// SPDX-License-Identifier: MIT
// A restore of more than one path, on the disk while it is under way.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernel/namespace.h"
#include "kernel/stored_caller.h"
#include "kernel/stored_order.h"

namespace agentfs {

class Kernel;

// The run of the host's kernel.
std::string this_boot();

// STATE/restores/<name>: what a crash cuts short the next start ends. A value: a line of JSON, and
// after it, for each step that is done, a line with how many are.
struct RestoreOrder {
  std::vector<RestoreStep> steps{};
  StoredCaller by{};
  // Another one may have lost the bytes of what came back, and kept its looks.
  std::string boot = this_boot();
  std::size_t reached = 0;  // steps that were done

  std::string text() const;  // the first line
  static std::string reached_line(std::size_t steps);
  static Result<RestoreOrder> parse(std::string_view text);  // EBADMSG
};

// What takes one step is there or not, and needs no order.
Result<StoredOrder> store_restore(const Kernel& kernel, const Caller& caller,
                                  const std::vector<RestoreStep>& steps);

// What those that a crash left are to bring back is not forgotten until they are ended: from a
// start on, before anything can be.
void keep_for_restores(Kernel& kernel);
// These, before the first request. What could not be done is told to who had asked, by `errors`.
void resume_restores(Kernel& kernel);

}  // namespace agentfs
