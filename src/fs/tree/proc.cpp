// SPDX-License-Identifier: MIT
// /proc: the processes.
#include "kernel/syscalls/proc.h"

#include "fcp/parse.h"
#include "fs/tree/render.h"
#include "fs/tree/tables.h"
#include "kernel/syscalls/gate.h"

namespace agentfs::tree {
namespace {

using vfs::files;
using vfs::line;

constexpr std::string_view kCloneUsage =
    "name=NAME profile=NAME model=NAME workspace=NAME cwd=PATH limits=LIMITS priority=N "
    "deadline=WHEN task=TEXT, each optional; the reply is the new pid";

Result<std::vector<std::string>> list_processes(const Kernel& kernel, const Caller&) {
  std::vector<std::string> names;
  for (const ProcessId pid : kernel.processes()) names.push_back(fmt::format("{}", pid.value));
  return names;
}

// Of other users' processes their directories, which are closed, do not tell this either.
Result<std::string> show_all(const Kernel& kernel, const Caller& caller) {
  const uid_t reader = caller.host.uid;
  std::string out;
  for (const ProcessId pid : kernel.processes()) {
    const auto process = kernel.find_process(pid);
    if (!process || (reader != 0 && reader != process->uid)) continue;
    out += json::dump(describe(*process)) + "\n";
  }
  return out;
}

Result<std::string> link_to_self(const Kernel&, const Caller& caller) {
  if (!caller.process) {
    return fail(ENOENT, "/proc/self: uid {} has no process yet; its first write makes one",
                caller.host.uid);
  }
  return fmt::format("{}", caller.process.value);
}

// The spawn line's words become the argument struct by the names of its fields.
Result<proc::Spawn> parse_spawn(const std::string& request) {
  const fcp::Line words = TRY(fcp::parse_line(request));
  json::Value arguments = json::Object{};
  for (const std::string& word : words.words) {
    (void)TRY(fcp::Parser<std::string>::parse({"clone", word}));
    const auto pair = fcp::key_value(word);
    if (!pair) {
      return fail(EINVAL, "clone: {} is not key=value; {}", text::shown(word), kCloneUsage);
    }
    if (!arguments[pair->first].is_null()) {
      return fail(EINVAL, "clone: {} is given twice ({}); once would do", pair->first,
                  text::shown(word));
    }
    const auto number = text::number<std::int64_t>(pair->second);
    const bool numeric = pair->first == "priority" && number;
    arguments.set(pair->first, numeric ? json::Value(*number) : json::Value(pair->second));
  }
  return decode<proc::Spawn>(arguments);
}

void clone(const Kernel&, const Caller& caller, std::string request, Completion<std::string> done) {
  done.complete([&]() -> Result<std::string> {
    const proc::Spawn spawn = TRY(parse_spawn(request));
    const ProcessId pid = TRY(caller.call(spawn));
    return line(pid.value);
  }());
}

constexpr auto kFiles = files<Kernel>({
    {.name = "<pid>",
     .mode = 0555,
     .doc = "One agent process.",
     .directory = &kProcessDirectory,
     .list = list_processes,
     .is_private = true},
    {.name = "_all.jsonl",
     .mode = 0444,
     .doc = "Every process of the reader's, one JSON object a line, as its _object.json.",
     .read = show_all},
    {.name = "clone",
     .mode = 0666,
     .doc = "Makes an agent process: write a spawn line, read its pid.",
     .reply = clone,
     .usage = kCloneUsage},
    {.name = "self", .mode = 0777, .doc = "The caller's own process.", .link = link_to_self},
});

}  // namespace

Result<std::shared_ptr<const Kernel>> find_kernel(const Caller& caller, const vfs::Key&) {
  // The kernel outlives every node: an alias that owns nothing.
  return std::shared_ptr<const Kernel>(std::shared_ptr<const Kernel>(), caller.kernel);
}

Result<ProcessRef> find_process(const Caller& caller, const vfs::Key& key) {
  const auto pid = text::number<std::uint64_t>(key.at(0));
  // One spelling a process: 7, never 007.
  const bool canonical = pid && fmt::format("{}", *pid) == key[0];
  if (!canonical) return fail(ENOENT, "/proc/{}: no such file or process", text::shown(key[0]));
  if (auto process = caller.kernel->find_process(ProcessId{*pid})) return process;
  return fail(ENOENT, "/proc/{}: no such process", *pid);
}

const vfs::Directory<Kernel> kProcDirectory("", "Agents are processes: one directory each.",
                                            find_kernel, kFiles);

}  // namespace agentfs::tree
