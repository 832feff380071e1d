// SPDX-License-Identifier: MIT
// proc.set and proc.set-context: one row a setting.
#include <algorithm>
#include <array>

#include "base/text.h"
#include "kernel/configuration.h"
#include "kernel/kinds.h"
#include "kernel/paths.h"
#include "kernel/process_json.h"
#include "kernel/syscalls/proc.h"
#include "kernel/syscalls/values.h"

namespace agentfs::proc {
namespace {

constexpr std::size_t kMostContext = std::size_t{256} << 10;

// Whose setting it is, who changes it (null: a person), and the word.
struct Change {
  Kernel& kernel;
  const Caller& caller;
  const Process& process;
  const Process* agent;
  const std::string& word;
};
using Parse = Result<json::Value> (*)(const Change&);

Result<json::Value> parse_name(const Change& change) {
  TRY(values::check_name(change.word));
  return change.word;
}

Result<json::Value> parse_profile(const Change& change) {
  TRY(values::profile(change.kernel, change.agent, change.word));
  return change.word;
}

Result<json::Value> parse_model(const Change& change) {
  TRY(change.kernel.configuration().model(change.word));
  return change.word;
}

Result<json::Value> parse_priority(const Change& change) {
  const auto number = text::number<std::int64_t>(change.word);
  if (!number) {
    return fail(EINVAL, "priority: not a number ({}); one from -20 (first) to 19 would do",
                text::shown(change.word));
  }
  return TRY(values::priority(*number, change.agent));
}

Result<json::Value> parse_deadline(const Change& change) {
  return TRY(values::deadline(change.word, change.kernel.clock().wall(), change.agent));
}

Result<json::Value> parse_cwd(const Change& change) {
  if (change.word.empty()) {
    return fail(EINVAL, "cwd: no directory was named (\"\"); a path of the mount would do");
  }
  std::string path =
      TRY(values::directory(change.kernel, change.caller, change.word, change.process.cwd));
  if (change.process.is_init || values::is_seen_by(change.process, path)) return path;
  return fail(EPERM, "cwd: {} is not seen by process {}; its workspace ({}), /home/{} and /tmp are",
              path, change.process.pid.value,
              change.process.workspace.empty() ? "none" : change.process.workspace,
              change.process.user);
}

Result<json::Value> parse_limit_words(const Change& change) {
  const Limits wanted = TRY(parse_limits(change.word));
  if (change.agent == nullptr) return to_json(wanted);
  TRY(check_within(wanted, change.agent->limits, "limits: an agent"));
  return to_json(narrowed(wanted, change.agent->limits));
}

struct SettingKey {
  std::string_view name{};
  Parse parse = nullptr;
};

constexpr std::array kKeys = {
    SettingKey{"cwd", parse_cwd},
    SettingKey{"deadline", parse_deadline},
    SettingKey{"limits", parse_limit_words},
    SettingKey{"model", parse_model},
    SettingKey{"name", parse_name},
    SettingKey{"priority", parse_priority},
    SettingKey{"profile", parse_profile},
};

Result<const SettingKey*> find_key(const std::string& key) {
  const auto row = std::ranges::find(kKeys, key, &SettingKey::name);
  if (row != kKeys.end()) return &*row;
  std::vector<std::string> names;
  for (const SettingKey& one : kKeys) names.emplace_back(one.name);
  return fail(EINVAL, "process: no setting {}{}; {} are", text::shown(key),
              text::did_you_mean(key, names), text::join(names, ", "));
}

}  // namespace

Status run(Kernel& kernel, const Caller& caller, const Set& args) {
  const SettingKey* row = TRY(find_key(args.key));
  json::Value data;
  data.set("pid", args.process.value).set("key", args.key);
  if (const ProcessRef process = kernel.find_process(args.process)) {
    TRY(kernel.may_control(caller, *process));
    if (process->is_init && args.key != "cwd" && args.key != "model") {
      return fail(EPERM,
                  "process {}: is the init process of {}, which has no {} to set; its cwd "
                  "can be",
                  process->pid.value, process->user, args.key);
    }
    const ProcessRef agent = values::acting_agent(kernel, caller);
    const std::string word(text::trim(args.value));
    json::set_any(data, "value", TRY(row->parse({kernel, caller, *process, agent.get(), word})));
  }
  TRY(kernel.commit(caller, std::string(kind::kProcessSet), std::move(data)));
  return ok();
}

Status run(Kernel& kernel, const Caller& caller, const SetContext& args) {
  if (!paths::is_context_name(args.name)) {
    return fail(EINVAL, "context.d: no name for a text ({}); one such as 10-rules.md is",
                text::shown(args.name));
  }
  if (args.text.size() > kMostContext) {
    return fail(EMSGSIZE, "context.d/{}: {} bytes are too many; at most {} are taken", args.name,
                args.text.size(), kMostContext);
  }
  if (!text::is_utf8(args.text) || args.text.find('\0') != std::string::npos) {
    return fail(EINVAL,
                "context.d/{}: is no text (bytes that are not UTF-8, or NUL); text would do",
                args.name);
  }
  if (const ProcessRef process = kernel.find_process(args.process)) {
    TRY(kernel.may_control(caller, *process));
    const bool removes = args.text.empty() && !args.keep.value_or(false);
    if (removes && !process->context.contains(args.name)) {
      return fail(ENOENT, "context.d/{}: no such text", args.name);
    }
  }
  json::Value data;
  data.set("pid", args.process.value).set("name", args.name).set("text", args.text);
  if (args.text.empty() && args.keep.value_or(false)) data.set("kept", true);
  TRY(kernel.commit(caller, std::string(kind::kProcessContext), std::move(data)));
  return ok();
}

}  // namespace agentfs::proc
