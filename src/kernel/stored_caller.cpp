// SPDX-License-Identifier: MIT
#include "kernel/stored_caller.h"

#include "base/json.h"
#include "base/text.h"
#include "kernel/kernel.h"

namespace agentfs {

StoredCaller StoredCaller::of(const Caller& caller) {
  return {.process = caller.process,
          .via = caller.via,
          .path = caller.path,
          .host_command = caller.host.command,
          .host_pid = caller.host.pid};
}

Caller StoredCaller::caller(const Kernel& kernel) const {
  Caller caller = kernel.agent(process, via);
  caller.path = path;
  caller.host.command = host_command;
  caller.host.pid = static_cast<pid_t>(host_pid);
  return caller;
}

// Names of commands are any bytes.
void StoredCaller::write(json::Value& into) const {
  into.set("process", process.value).set("via", via).set("file", path);
  into.set("host_command_hex", text::hex(host_command)).set("host_pid", host_pid);
}

StoredCaller StoredCaller::read(const json::Value& from) {
  return {.process = {static_cast<std::uint64_t>(from["process"].number())},
          .via = std::string(from["via"].text()),
          .path = std::string(from["file"].text()),
          .host_command = text::unhex(from["host_command_hex"].text()).value_or(std::string()),
          .host_pid = from["host_pid"].number()};
}

}  // namespace agentfs
