// SPDX-License-Identifier: MIT
#include "kernel/syscalls/table.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "kernel/syscalls/fs.h"
#include "kernel/syscalls/proc.h"

namespace agentfs {
namespace {

std::string as_text(Nothing) { return {}; }
std::string as_text(ProcessId pid) { return fmt::format("{}\n", pid.value); }
std::string as_text(std::string text) { return text; }

template <class Args>
void call_row(const Caller& caller, const json::Value& arguments, Completion<std::string> reply) {
  const Result<Args> args = decode<Args>(arguments);
  if (!args) {
    gate::leave(caller, Args::row, &args.error(), gate::now(caller));
    reply.complete(std::unexpected(args.error()));
    return;
  }
  using Reply = typename Args::Reply;
  const auto answer = [reply](Result<Reply> result) {
    if (result) {
      reply.complete(as_text(std::move(*result)));
    } else {
      reply.complete(std::unexpected(std::move(result).error()));
    }
  };
  if constexpr (Args::row.blocks) {
    Completion<Reply> inner(answer);
    reply.on_cancel([inner] { inner.cancel(); });
    caller.start(*args, inner);
  } else {
    answer(caller.call(*args));
  }
}

template <class Args>
SyscallEntry entry() {
  return {.row = Args::row, .fields = describe_fields<Args>(), .call = call_row<Args>};
}

std::vector<SyscallEntry> make_entries() {
  std::vector<SyscallEntry> all = {
      entry<fs::Delete>(),        entry<fs::Edit>(),
      entry<fs::List>(),          entry<fs::Read>(),
      entry<fs::Search>(),        entry<fs::Write>(),
      entry<llm::Chat>(),         entry<proc::Redirect>(),
      entry<proc::Send>(),        entry<proc::Set>(),
      entry<proc::SetContext>(),  entry<proc::Signal>(),
      entry<proc::Spawn>(),       entry<shell::Exec>(),
      entry<sys::Ctl>(),          entry<sys::RemoveDocument>(),
      entry<sys::SaveDocument>(),
  };
  std::ranges::sort(all, {}, [](const SyscallEntry& one) { return one.row.name; });
  return all;
}

}  // namespace

std::span<const SyscallEntry> all_syscalls() {
  static const std::vector<SyscallEntry> entries = make_entries();
  return entries;
}

const SyscallEntry* find_syscall(std::string_view name) {
  const auto all = all_syscalls();
  const auto found =
      std::ranges::lower_bound(all, name, {}, [](const SyscallEntry& one) { return one.row.name; });
  return found != all.end() && found->row.name == name ? &*found : nullptr;
}

}  // namespace agentfs
