// SPDX-License-Identifier: MIT
// /dev: devices.
#include "fs/tree/tables.h"
#include "kernel/configuration.h"
#include "kernel/metrics.h"
#include "kernel/syscalls/fs.h"
#include "kernel/syscalls/gate.h"

namespace agentfs::tree {
namespace {

using vfs::files;
using vfs::line;

// --- local

void execute(const Kernel&, const Caller& caller, std::string command,
             Completion<std::string> done) {
  shell::Exec exec;
  exec.command = std::move(command);
  caller.start(exec, std::move(done));
}

Result<std::string> show_local(const Kernel& k, const Caller&) {
  const DeviceSettings settings = k.configuration().device("local");
  return json::dump_pretty(json::Object{
      {"name", "local"},
      {"platform", "linux"},
      {"version", AGENTFS_VERSION},
      {"owner", k.user_name(k.parts().owner)},
      {"implements", json::Array{"shell.exec"}},
      {"sandbox", settings.sandbox ? "bwrap" : "none"},
      {"network", settings.network},
      {"fs", settings.fs},
      {"timeout_ms", settings.limits.timeout_ms},
      {"memory_bytes", settings.limits.memory_bytes},
      {"processes", settings.limits.processes},
      {"output_bytes", settings.limits.output_bytes},
      {"file_bytes", settings.limits.file_bytes},
  });
}
Result<std::string> show_implements(const Kernel&, const Caller&) { return line("shell.exec"); }
Result<std::string> show_online(const Kernel&, const Caller&) { return line("online"); }

constexpr auto kLocalFiles = files<Kernel>({
    {.name = "exec",
     .mode = 0666,
     .doc = "Runs a command line in a sandbox, in the caller's directory if that is in a workspace "
            "or home, else at home; read its output.",
     .reply = execute,
     .usage = "COMMAND LINE, for sh -c; each line is a command of its own"},
    {.name = "implements",
     .mode = 0444,
     .doc = "Syscalls that the device serves.",
     .read = show_implements},
    {.name = "info",
     .mode = 0444,
     .doc = "What the device is, and its settings.",
     .read = show_local},
    {.name = "state", .mode = 0444, .doc = "One word: online or offline.", .read = show_online},
});

const vfs::Directory<Kernel> kLocalDirectory("", "This host: every command in a sandbox.",
                                             find_kernel, kLocalFiles);

// --- llm

Result<std::shared_ptr<const ModelSettings>> find_model(const Caller& caller, const vfs::Key& key) {
  return std::make_shared<const ModelSettings>(
      TRY(caller.kernel->configuration().model(key.at(0))));
}

Result<std::vector<std::string>> list_models(const Kernel& k, const Caller&) {
  return k.configuration().models();
}

void ask(const ModelSettings& model, const Caller& caller, std::string request,
         Completion<std::string> done) {
  caller.start(llm::Chat{model.name, std::move(request)}, std::move(done));
}

// A key is never shown: only where it comes from.
std::string secret_place(const ModelSettings& m) {
  if (!m.secret_environment.empty()) return "environment " + m.secret_environment;
  return m.secret_file.empty() ? "none" : "file " + m.secret_file;
}

Result<std::string> show_model(const ModelSettings& m, const Caller&) {
  json::Array fallback;
  for (const std::string& name : m.fallback) fallback.emplace_back(name);
  return json::dump_pretty(json::Object{
      {"name", m.name},
      {"driver", m.driver},
      {"model", m.model},
      {"base_url", m.base_url},
      {"key", secret_place(m)},
      {"scenario", m.scenario},
      {"context_tokens", m.context_tokens},
      {"usd_per_million_in", m.usd_per_million_in},
      {"usd_per_million_out", m.usd_per_million_out},
      {"fallback", std::move(fallback)},
  });
}

constexpr auto kModelFiles = files<ModelSettings>({
    {.name = "chat",
     .mode = 0666,
     .doc = "Asks the model outside any agent: write a request, one line, and read the reply.",
     .reply = ask,
     .usage = "each line is a request: a JSON object with messages, as OpenAI's chat completions, "
              "or plain text",
     .is_private = true},
    {.name = "info",
     .mode = 0444,
     .doc = "The model's settings, without its key.",
     .read = show_model},
});

const vfs::Directory<ModelSettings> kModelDirectory("<model>", "One language model.", find_model,
                                                    kModelFiles);

constexpr auto kModelsFiles = files<Kernel>({
    {.name = "<model>",
     .mode = 0555,
     .doc = "One language model, of /etc/models.",
     .directory = &kModelDirectory,
     .list = list_models},
});

const vfs::Directory<Kernel> kModelsDirectory("", "Language models.", find_kernel, kModelsFiles);

constexpr auto kFiles = files<Kernel>({
    {.name = "llm", .mode = 0555, .doc = "Language models.", .directory = &kModelsDirectory},
    {.name = "local",
     .mode = 0555,
     .doc = "This host: every command in a sandbox.",
     .directory = &kLocalDirectory},
});

}  // namespace

const vfs::Directory<Kernel> kDevDirectory("", "Devices: what commands run on, and models.",
                                           find_kernel, kFiles);

}  // namespace agentfs::tree
