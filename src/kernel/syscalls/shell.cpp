// SPDX-License-Identifier: MIT
// shell.exec: a command line in a sandbox that sees the caller's workspace and home.
#include <algorithm>
#include <atomic>
#include <filesystem>

#include "base/log.h"
#include "base/text.h"
#include "kernel/configuration.h"
#include "kernel/kinds.h"
#include "kernel/paths.h"
#include "kernel/syscalls/fs.h"
#include "kernel/syscalls/values.h"

namespace agentfs::shell {
namespace {

constexpr std::size_t kMostCommand = 65'536;
constexpr std::int64_t kMostSeconds = 86'400;

Status check(const Exec& args) {
  const std::string device = args.device.value_or("local");
  if (device != "local") {
    return fail(ENOENT, "device {}: no such device{}; there is local", text::shown(device),
                text::did_you_mean(device, {"local"}));
  }
  if (text::trim(args.command).empty() || args.command.find('\0') != std::string::npos) {
    return fail(EINVAL, "command: cannot be {}; a command line for sh -c would do",
                text::shown(args.command));
  }
  if (args.command.size() > kMostCommand) {
    return fail(EMSGSIZE,
                "command: {} bytes are too many; at most {} are taken, and a script in "
                "a file can be longer",
                args.command.size(), kMostCommand);
  }
  if (args.timeout && (*args.timeout < 1 || *args.timeout > kMostSeconds)) {
    return fail(EINVAL, "timeout: out of range ({}); 1 to {} seconds would do", *args.timeout,
                kMostSeconds);
  }
  return ok();
}

// Where a person's shell stands in the mount; their home where it is somewhere else.
std::string directory_of(const Kernel& kernel, const Caller& caller, const Process& process) {
  if (!process.is_init || caller.host.pid == 0) return process.cwd;
  std::error_code error;
  const std::string host =
      std::filesystem::read_symlink(fmt::format("/proc/{}/cwd", caller.host.pid), error);
  const std::string& mount = kernel.parts().mountpoint;
  if (error || !paths::is_in(host, mount)) return process.cwd;
  const std::string path = paths::normalise(host.substr(mount.size()));
  const bool is_seen = paths::workspace_of(path) || paths::is_in(path, "/home/" + process.user);
  return is_seen ? path : process.cwd;
}

// What is bound is a directory of the trees, not a link to one: that could lead anywhere.
Status check_directory(const Kernel& kernel, const std::string& path) {
  const std::string host = TRY(kernel.host_path(path));
  std::error_code error;
  const auto found = std::filesystem::symlink_status(host, error);
  if (found.type() == std::filesystem::file_type::directory) return ok();
  if (found.type() == std::filesystem::file_type::not_found) {
    return fail(ENOENT, "{}: no such directory; it was there when the process was made", path);
  }
  return fail(ENOTDIR, "{}: not a directory of its own; commands are not let out by a link", path);
}

// Nothing is bound anywhere without a sandbox: what the mount has lies below the mountpoint.
void show_as_on_host(const Kernel& kernel, ExecRequest& request) {
  const std::string& mountpoint = kernel.parts().mountpoint;
  for (auto& [name, value] : request.environment) {
    if (name == "HOME") value = mountpoint + value;
  }
  request.cwd = mountpoint + request.cwd;
}

// An agent sees its own workspace; a person the one that the cwd is in. Both see their home.
Result<ExecRequest> make_request(const Kernel& kernel, const Caller& caller, const Process& process,
                                 const Exec& args) {
  const DeviceSettings settings = kernel.configuration().device("local");
  ExecRequest request;
  request.command = args.command;
  request.cwd =
      TRY(values::directory(kernel, args.cwd.value_or("."), directory_of(kernel, caller, process)));
  request.user = kernel.exec_user(caller);
  request.network = settings.network;
  request.sandbox = settings.sandbox;
  request.limits = settings.limits;
  if (args.timeout) request.limits.timeout_ms = *args.timeout * 1'000;
  const std::string home = "/home/" + process.user;
  std::string workspace = process.workspace;
  if (process.is_init) workspace = paths::workspace_of(request.cwd).value_or("");
  const auto bind = [&](const std::string& path) {
    const std::string& mountpoint = kernel.parts().mountpoint;
    request.binds.emplace_back(mountpoint + path, path);
    const auto history = kernel.paths().history_apart(path);
    if (history) request.binds.emplace_back(mountpoint + *history, *history);
  };
  if (!workspace.empty()) {
    TRY(check_directory(kernel, "/workspaces/" + workspace));
    bind("/workspaces/" + workspace);
  }
  TRY(check_directory(kernel, home));
  bind(home);
  const bool is_seen =
      paths::is_in(request.cwd, "/tmp") || std::ranges::any_of(request.binds, [&](const auto& one) {
        return paths::is_in(request.cwd, one.second);
      });
  if (!is_seen) {
    return fail(EPERM, "cwd: {} is not seen by this process; its workspace ({}), {} and /tmp are",
                request.cwd, workspace.empty() ? "none" : "/workspaces/" + workspace, home);
  }
  request.environment = {{"HOME", home}, {"USER", process.user}, {"LOGNAME", process.user}};
  return request;
}

// The output as it came; what happened as a comment below it.
std::string reply_text(const ExecReply& reply) {
  std::string result = reply.output;
  if (!result.empty() && !result.ends_with('\n')) result += '\n';
  result += fmt::format("# exit={} signal={} elapsed={}.{:03} truncated={}", reply.exit_code,
                        reply.signal, reply.elapsed_ms / 1'000, reply.elapsed_ms % 1'000,
                        reply.dropped_bytes);
  if (!reply.ended_by.empty()) result += " ended_by=" + reply.ended_by;
  return result + "\n";
}

void record_end(Kernel& kernel, const Caller& caller, const ExecRequest& request,
                const Result<ExecReply>& reply) {
  json::Value data;
  data.set("command", text::prefix(request.command, 1'000)).set("cwd", request.cwd);
  if (reply) {
    data.set("exit", reply->exit_code).set("signal", reply->signal);
    data.set("ended_by", reply->ended_by).set("elapsed_ms", reply->elapsed_ms);
    data.set("bytes", reply->output.size());
  } else {
    data.set("error", errno_name(reply.error().code)).set("text", reply.error().message);
  }
  const auto recorded = kernel.commit(caller, std::string(kind::kExecEnd), std::move(data));
  if (!recorded) log::warning("exec: its end is not recorded: {}", recorded.error().message);
}

Status record_begin(Kernel& kernel, const Caller& caller, const ExecRequest& request) {
  json::Value data;
  data.set("command", text::prefix(request.command, 1'000)).set("cwd", request.cwd);
  data.set("device", "local");
  TRY(kernel.commit(caller, std::string(kind::kExecBegin), std::move(data)));
  return ok();
}

}  // namespace

void run(Kernel& kernel, const Caller& caller, const Exec& args,
         const Completion<std::string>& done) {
  const auto prepare = [&]() -> Result<ExecRequest> {
    TRY(check(args));
    const ProcessRef process = TRY(kernel.get_process(caller.process));
    ExecRequest request = TRY(make_request(kernel, caller, *process, args));
    TRY(record_begin(kernel, caller, request));
    return request;
  };
  Result<ExecRequest> request = prepare();
  if (!request) {
    done.complete(std::unexpected(request.error()));
    return;
  }
  auto identity = std::make_shared<std::atomic<std::uint64_t>>(0);
  const auto started = [&kernel, caller, identity](const ExecStarted& begun) {
    *identity = begun.pid_namespace;
    kernel.add_sandbox(
        {.pid_namespace = begun.pid_namespace, .process = caller.process, .via = caller.via});
  };
  Completion<ExecReply> ended(
      [&kernel, caller, identity, request = *request, done](Result<ExecReply> reply) {
        kernel.remove_sandbox(*identity);
        record_end(kernel, caller, request, reply);
        if (reply) {
          done.complete(reply_text(*reply));
        } else {
          done.complete(std::unexpected(std::move(reply).error()));
        }
      });
  done.on_cancel([ended] { ended.cancel(); });
  // Only now: what is recorded are paths of the mount.
  if (!request->sandbox) show_as_on_host(kernel, *request);
  kernel.exec().start(std::move(*request), started, ended);
}

}  // namespace agentfs::shell
