// SPDX-License-Identifier: MIT
// /proc/<pid>/calls, messages and context.d.
#include <algorithm>

#include "fs/tree/render.h"
#include "fs/tree/tables.h"
#include "kernel/paths.h"
#include "kernel/syscalls/gate.h"
#include "kernel/syscalls/proc.h"

namespace agentfs::tree {
namespace {

using vfs::DocumentEntry;
using vfs::files;
using vfs::line;

// --- calls

Result<std::vector<std::string>> list_calls(const Process& process, const Caller&) {
  std::vector<std::string> names;
  for (const CallRef& call : process.calls) names.push_back(fmt::format("{}", call->number));
  return names;
}

Result<std::string> show_all(const Process& process, const Caller&) {
  std::string out;
  for (const CallRef& call : process.calls) out += json::dump(describe(*call)) + "\n";
  return out;
}

constexpr auto kCallsFiles = files<Process>({
    {.name = "<n>",
     .mode = 0555,
     .doc = "One tool call.",
     .directory = &kCallDirectory,
     .list = list_calls},
    {.name = "_all.jsonl",
     .mode = 0444,
     .doc = "Every call, one JSON object a line.",
     .read = show_all},
});

Result<std::shared_ptr<const CallObject>> find_call(const Caller& caller, const vfs::Key& key) {
  const ProcessRef process = TRY(find_process(caller, key));
  const auto found = std::ranges::find_if(process->calls, [&](const CallRef& call) {
    return fmt::format("{}", call->number) == key.at(1);
  });
  if (found == process->calls.end()) {
    return fail(ENOENT, "/proc/{}/calls/{}: no such call; there are {}", key[0],
                text::shown(key[1]), process->calls.size());
  }
  return std::make_shared<const CallObject>(CallObject{process, *found});
}

Result<std::string> show_call(const CallObject& o, const Caller&) {
  return json::dump_pretty(describe(*o.call));
}
Result<std::string> show_cost(const CallObject& o, const Caller&) {
  const std::int64_t taken = o.call->ended == 0 ? 0 : o.call->ended - o.call->started;
  return fmt::format("seconds\t{}\nbytes\t{}\n", seconds(taken), o.call->result_size);
}
Result<std::string> show_request(const CallObject& o, const Caller&) {
  return line(o.call->arguments);
}
Result<std::string> show_result(const CallObject& o, const Caller& c) {
  std::string text = TRY(c.kernel->call_result(*o.call));
  if (!text.empty() && !text.ends_with('\n')) text += '\n';
  return text;
}
Result<std::string> show_call_state(const CallObject& o, const Caller&) {
  return line(name(o.call->state));
}
Result<std::string> show_tool(const CallObject& o, const Caller&) { return line(o.call->tool); }

constexpr auto kCallFiles = files<CallObject>({
    {.name = "_object.json",
     .mode = 0444,
     .doc = "All of the call in one JSON object.",
     .read = show_call},
    {.name = "cost",
     .mode = 0444,
     .doc = "How long it took and how much it gave.",
     .read = show_cost},
    {.name = "request",
     .mode = 0444,
     .doc = "The arguments, as the model gave them.",
     .read = show_request},
    {.name = "result",
     .mode = 0444,
     .doc = "The whole result, also where the model saw a part.",
     .read = show_result},
    {.name = "state",
     .mode = 0444,
     .doc = "One word: pending, running, done, failed, interrupted or cancelled.",
     .read = show_call_state},
    {.name = "tool", .mode = 0444, .doc = "Name of the tool.", .read = show_tool},
});

// --- messages

const Process& process_of(const void* object) { return *static_cast<const Process*>(object); }

Result<std::vector<DocumentEntry>> list_messages(const void* object, const Caller&,
                                                 const std::string&) {
  std::vector<DocumentEntry> entries{{"_all.jsonl", false}};
  for (const MessageRef& message : process_of(object).messages) {
    entries.push_back({message_name(*message), false});
  }
  return entries;
}

Result<std::string> read_message(const void* object, const Caller&, const std::string& path) {
  const Process& process = process_of(object);
  if (path == "_all.jsonl") {
    std::string out;
    for (const MessageRef& message : process.messages) out += json::dump(describe(*message)) + "\n";
    return out;
  }
  for (const MessageRef& message : process.messages) {
    if (message_name(*message) != path) continue;
    return message->text.ends_with('\n') ? message->text : message->text + '\n';
  }
  return fail(ENOENT, "/proc/{}/messages/{}: no such message", process.pid.value,
              text::shown(path));
}

// --- context.d

Result<std::vector<DocumentEntry>> list_context(const void* object, const Caller&,
                                                const std::string&) {
  std::vector<DocumentEntry> entries;
  for (const auto& [name, text] : process_of(object).context) entries.push_back({name, false});
  return entries;
}

Result<std::string> read_context(const void* object, const Caller&, const std::string& path) {
  const Process& process = process_of(object);
  const auto found = process.context.find(path);
  if (found != process.context.end()) return found->second;
  return fail(ENOENT, "/proc/{}/context.d/{}: no such text", process.pid.value, text::shown(path));
}

Status check_context_name(const std::string& path) {
  if (paths::is_context_name(path)) return ok();
  return fail(EINVAL, "context.d/{}: no name for a text; one such as 10-rules.md is",
              text::shown(path));
}

Status check_context(const void* object, const Caller&, const std::string& path,
                     std::string_view words) {
  if (text::is_utf8(words) && words.find('\0') == std::string_view::npos) return ok();
  return fail(EBADMSG, "/proc/{}/context.d/{}: not UTF-8, or a NUL in it ({}); text would do",
              process_of(object).pid.value, path, text::shown(words));
}

Status save_context(const void* object, const Caller& caller, const std::string& path,
                    std::string_view words) {
  TRY(check_context(object, caller, path, words));
  return caller.call(proc::SetContext{process_of(object).pid, path, std::string(words), true});
}

Status remove_context(const void* object, const Caller& caller, const std::string& path) {
  TRY(read_context(object, caller, path));
  return caller.call(proc::SetContext{process_of(object).pid, path, {}, false});
}

}  // namespace

const vfs::Directory<Process> kCallsDirectory("", "Every tool call of the process, by number.",
                                              find_process, kCallsFiles);
const vfs::Directory<CallObject> kCallDirectory("<n>", "One tool call: request, result, cost.",
                                                find_call, kCallFiles);
constinit const vfs::DocumentOperations kMessages{.list = list_messages, .text = read_message};
constinit const vfs::DocumentOperations kProcessContext{.list = list_context,
                                                        .text = read_context,
                                                        .check_name = check_context_name,
                                                        .check = check_context,
                                                        .save = save_context,
                                                        .remove = remove_context};

}  // namespace agentfs::tree
