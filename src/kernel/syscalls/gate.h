// SPDX-License-Identifier: MIT
// The gate: the only way to a syscall's handler. A line in a control file, a tool call of an agent
// and, later, a driver's or a remote node's request meet here.
#pragma once

#include <string>

#include "kernel/caller.h"
#include "kernel/kernel.h"
#include "kernel/syscalls/row.h"

namespace agentfs {
namespace gate {

// Before: is the caller alive (ESRCH), may it (EPERM), is its budget spent (EDQUOT)? Counts the
// call. `args` is the encoded arguments, for rules that look at what is touched.
Status enter(const Caller& caller, const SyscallRow& row);
// After: counts the outcome and its latency; puts a failure's sentence on the caller's errors.
void leave(const Caller& caller, const SyscallRow& row, const Error* error, std::int64_t began);
std::int64_t now(const Caller& caller);

}  // namespace gate

// `run(kernel, caller, args)` is declared beside the argument struct and found by its type.
template <class Args>
Result<typename Args::Reply> Caller::call(const Args& args) const {
  static_assert(!Args::row.blocks, "a syscall that blocks is started, not called");
  const std::int64_t began = gate::now(*this);
  Result<typename Args::Reply> result = [&]() -> Result<typename Args::Reply> {
    TRY(gate::enter(*this, Args::row));
    return run(*kernel, *this, args);
  }();
  gate::leave(*this, Args::row, result ? nullptr : &result.error(), began);
  return result;
}

template <class Args>
void Caller::start(const Args& args, Completion<typename Args::Reply> done) const {
  static_assert(Args::row.blocks, "a syscall that does not block is called");
  const std::int64_t began = gate::now(*this);
  if (Status entered = gate::enter(*this, Args::row); !entered) {
    gate::leave(*this, Args::row, &entered.error(), began);
    done.complete(std::unexpected(std::move(entered).error()));
    return;
  }
  using Reply = typename Args::Reply;
  Completion<Reply> inner([caller = *this, done, began](Result<Reply> result) {
    gate::leave(caller, Args::row, result ? nullptr : &result.error(), began);
    done.complete(std::move(result));
  });
  done.on_cancel([inner] { inner.cancel(); });
  run(*kernel, *this, args, inner);
}

}  // namespace agentfs
