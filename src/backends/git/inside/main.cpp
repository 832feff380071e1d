// SPDX-License-Identifier: MIT
// agentfs-commit: one turn commit, in a process that can reach nothing but the workspace.
//
//   agentfs-commit PARENT
//
// PARENT is the process that must still be there. Standard input is a socket: the order, which can
// come any time later, and a byte back when it was read whole. The last line of standard output is
// what became of it (git/message.h); what stands before is for the log.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <new>

#include "backends/git/git.h"
#include "backends/git/inside/confine.h"
#include "backends/git/library.h"
#include "backends/git/message.h"
#include "backends/git/worktree.h"
#include "base/file.h"
#include "base/log.h"

namespace agentfs::git {
namespace {

// The daemon takes it that nothing was done where this byte did not come.
Status tell_begun() {
  if (::send(STDIN_FILENO, "+", 1, MSG_NOSIGNAL) != 1) return fail_errno("git: order");
  return ok();
}

Result<std::string> make_commit() {
  TRY(limit_resources());
  static const Library library;  // most of a start's time, before there is an order
  if (!library.ready()) return failure(-1, "libgit2");
  const Order order = TRY(decode_order(TRY(file::read(STDIN_FILENO))));
  TRY(tell_begun());
  TRY(keep_mounts());
  const auto repository = TRY(open_git(order.locks_from));
  TRY(confine(order.commit));
  return repository->commit(order.commit);
}

Result<std::string> make_commit_in_bounds() {
  try {
    return make_commit();
  } catch (const std::bad_alloc&) {
    return fail(ENOMEM, "git: the commit needs more memory than the 1 GiB it may have");
  }
}

int run(int count, char** arguments) {
  if (count != 2) {
    std::fputs("agentfs-commit: run by agentfs, not by hand\n", stderr);
    return 2;
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (::getppid() != std::atoi(arguments[1])) return 127;  // it died before the line above
  log::set_plain();
  ::close_range(STDERR_FILENO + 1, ~0u, 0);
  const std::string answer = encode(make_commit_in_bounds());
  const bool told = file::write_all(STDOUT_FILENO, answer).has_value();
  // Without destructors: there is nothing left to do in here.
  ::_exit(told ? 0 : 1);
}

}  // namespace
}  // namespace agentfs::git

int main(int count, char** arguments) { return agentfs::git::run(count, arguments); }
