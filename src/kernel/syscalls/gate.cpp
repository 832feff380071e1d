// SPDX-License-Identifier: MIT
#include "kernel/syscalls/gate.h"

#include "kernel/error_log.h"
#include "kernel/metrics.h"

namespace agentfs::gate {
namespace {

std::string where_of(const Caller& caller, const SyscallRow& row) {
  return caller.via.empty() ? std::string(row.name) : caller.via;
}

}  // namespace

Status enter(const Caller& caller, const SyscallRow& row) {
  if (!caller.process) {
    // A person who has changed nothing yet has no process: such a caller may only look.
    if (row.kind == CallKind::query) return ok();
    return fail(EPERM, "{}: the caller is no process; only one that is changes anything", row.name);
  }
  const ProcessRef process = caller.kernel->find_process(caller.process);
  if (process == nullptr) {
    return fail(ESRCH, "process {}: has ended and was reaped", caller.process.value);
  }
  if (process->state == RunState::dead) {
    return fail(ESRCH, "process {}: has ended ({}) and does nothing more", caller.process.value,
                process->exit_reason);
  }
  if (process->is_init) return ok();
  if (row.effect == Effect::configuration) {
    return fail(EPERM, "{}: an agent changes no documents of /etc; their owner does", row.name);
  }
  return caller.kernel->check_budget(*process);
}

void leave(const Caller& caller, const SyscallRow& row, const Error* error, std::int64_t began) {
  caller.kernel->metrics().count_call(row.name, error != nullptr, now(caller) - began);
  // What came through a file is told by the file's own layer, which knows of failures before the
  // gate as well.
  const bool is_told = error == nullptr || !caller.path.empty();
  if (!is_told) caller.kernel->errors().add(caller.process, where_of(caller, row), *error);
}

std::int64_t now(const Caller& caller) { return caller.kernel->clock().steady(); }

}  // namespace agentfs::gate
