// SPDX-License-Identifier: MIT
// shell.exec: a command line in a sandbox that sees the caller's workspace and home.
#include <algorithm>
#include <atomic>
#include <filesystem>

#include "base/log.h"
#include "base/text.h"
#include "kernel/configuration.h"
#include "kernel/fast_path.h"
#include "kernel/kinds.h"
#include "kernel/paths.h"
#include "kernel/syscalls/fs.h"
#include "kernel/syscalls/values.h"

namespace agentfs::shell {
namespace {

constexpr std::size_t kMostCommand = 65'536;
constexpr std::int64_t kMostSeconds = 86'400;

Status check_fast(const Exec& args) {
  if (args.fs && *args.fs != "coherent" && *args.fs != "fast") {
    return fail(EINVAL, "fs: no such way ({}); coherent and fast are", text::shown(*args.fs));
  }
  if (args.on_fail && *args.on_fail != "fold" && *args.on_fail != "drop") {
    return fail(EINVAL, "on_fail: no such end ({}); fold and drop are", text::shown(*args.on_fail));
  }
  return ok();
}

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
  return check_fast(args);
}

// Where a person's shell stands in the mount; their home where it is somewhere else.
std::string directory_of(const Kernel& kernel, const Caller& caller, const Process& process) {
  if (!process.is_init || caller.host.pid == 0) return process.cwd;
  std::error_code error;
  const std::string host =
      std::filesystem::read_symlink(fmt::format("/proc/{}/cwd", caller.host.pid), error);
  const std::string& mount = kernel.parts().mountpoint;
  if (error || !text::is_in(host, mount)) return process.cwd;
  const std::string path = paths::normalise(host.substr(mount.size()));
  const bool is_seen = paths::workspace_of(path) || text::is_in(path, "/home/" + process.user);
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
  request.cwd = TRY(values::directory(kernel, caller, args.cwd.value_or("."),
                                      directory_of(kernel, caller, process)));
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
      text::is_in(request.cwd, "/tmp") || std::ranges::any_of(request.binds, [&](const auto& one) {
        return text::is_in(request.cwd, one.second);
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

// One command from its begin record to its end record. Shared by the callbacks that carry it on.
struct Running {
  Kernel& kernel;
  Caller caller;
  ExecRequest request;
  Completion<std::string> done;
  std::optional<FastRun> fast{};
  std::string note{};                            // why it is not on an overlay after all
  std::atomic<std::uint64_t> pid_namespace = 0;  // where it has a sandbox
  std::atomic<pid_t> supervisor = 0;             // where it has none

  CommandIdentity identity() const {
    return {.pid_namespace = pid_namespace,
            .supervisor = supervisor,
            .process = caller.process,
            .via = caller.via};
  }
};
using RunningRef = std::shared_ptr<Running>;

// A command whose processes cannot be ended is left to the next start.
bool is_closed(const Running& run, const Result<ExecReply>& reply) {
  return run.fast && (!reply || !reply->abandoned);
}

Status record_end(const Running& run, const Result<ExecReply>& reply, const FastEnd* folded) {
  json::Value data;
  data.set("command", text::prefix(run.request.command, 1'000)).set("cwd", run.request.cwd);
  if (reply) {
    data.set("exit", reply->exit_code).set("signal", reply->signal);
    data.set("ended_by", reply->ended_by).set("elapsed_ms", reply->elapsed_ms);
    data.set("bytes", reply->output.size());
  } else {
    data.set("error", errno_name(reply.error().code)).set("text", reply.error().message);
  }
  if (folded != nullptr) {
    data.set("fs", "fast").set("fold", folded->how).set("paths", folded->paths);
    data.set("conflicts", folded->conflicts);
    if (folded->error) data.set("fold_text", folded->error->message);
  }
  if (is_closed(run, reply)) data.set("begin", run.fast->number);
  const auto recorded = run.kernel.commit(run.caller, std::string(kind::kExecEnd), std::move(data));
  if (recorded) return ok();
  log::warning("exec: its end is not recorded: {}", recorded.error().message);
  return std::unexpected(recorded.error());
}

// What is left of an overlay goes when its end is told: until then the next start would tell it.
void end_command(Running& run, const Result<ExecReply>& reply, const FastEnd* folded) {
  const Status recorded = record_end(run, reply, folded);
  if (!recorded || !is_closed(run, reply)) return;
  FastPath(run.kernel).close(*run.fast, folded != nullptr ? *folded : FastEnd{});
}

Result<Sequence> record_begin(Kernel& kernel, const Caller& caller, const ExecRequest& request,
                              bool fast) {
  json::Value data;
  data.set("command", text::prefix(request.command, 1'000)).set("cwd", request.cwd);
  data.set("device", "local");
  if (fast) data.set("fs", "fast");
  return TRY(kernel.commit(caller, std::string(kind::kExecBegin), std::move(data))).sequence;
}

// The call's word, the profile's, the device's.
std::string way_of(const Kernel& kernel, const Process& process, const Exec& args) {
  if (args.fs) return *args.fs;
  if (!process.is_init) {
    const auto profile = kernel.configuration().profile(process.profile);
    if (profile && !profile->fs.empty()) return profile->fs;
  }
  return kernel.configuration().device("local").fs;
}

// What only an overlay can do is refused without one; the rest goes through the mount.
Status prepare_fast(Running& run, const Process& process, const Exec& args) {
  const bool is_fast = way_of(run.kernel, process, args) == "fast";
  const bool needs_it = args.dry_run.value_or(false) || args.on_fail == "drop";
  std::string why = "fs=coherent";
  if (is_fast) why = FastPath(run.kernel).why_not(run.request);
  if (!why.empty() && needs_it) {
    return fail(ENOTSUP, "on_fail=drop and dry_run take fs=fast: {}", why);
  }
  if (is_fast && !why.empty()) run.note = fmt::format("# fs=coherent: {}\n", why);
  if (!why.empty()) {
    TRY(record_begin(run.kernel, run.caller, run.request, false));
    return ok();
  }
  const Sequence begin = TRY(record_begin(run.kernel, run.caller, run.request, true));
  run.fast = {.number = begin.value,
              .drop_failed = args.on_fail == "drop",
              .dry_run = args.dry_run.value_or(false)};
  const Status begun = FastPath(run.kernel).begin(run.caller, *run.fast, run.request);
  if (!begun) end_command(run, std::unexpected(begun.error()), nullptr);
  return begun;
}

// What was changed on an overlay comes first: only then the command has ended.
void finish(const RunningRef& run, const Result<ExecReply>& reply, const FastEnd* folded) {
  end_command(*run, reply, folded);
  if (!reply) return run->done.complete(std::unexpected(reply.error()));
  std::string text = reply_text(*reply) + run->note;
  if (folded == nullptr) return run->done.complete(std::move(text));
  if (folded->error) {
    return run->done.complete(fail(folded->error->code, "fs=fast: {}; it had ended so: {}",
                                   folded->error->message, text::shown(text)));
  }
  text += folded->lines;
  text += fmt::format("# fs=fast {} paths={} conflicts={}\n", folded->how, folded->paths,
                      folded->conflicts);
  run->done.complete(std::move(text));
}

// In the pool, since it waits for the disk.
void end_fast(const RunningRef& run, Result<ExecReply> reply) {
  if (!reply || reply->abandoned) return finish(run, reply, nullptr);
  run->kernel.pool().post([run, reply = std::move(reply)] {
    const bool failed = reply->exit_code != 0 || !reply->ended_by.empty();
    const FastEnd end = FastPath(run->kernel).end(run->caller, *run->fast, failed);
    finish(run, reply, &end);
  });
}

}  // namespace

void run(Kernel& kernel, const Caller& caller, const Exec& args,
         const Completion<std::string>& done) {
  auto run = std::make_shared<Running>(kernel, caller, ExecRequest{}, done);
  const auto prepare = [&]() -> Status {
    TRY(check(args));
    TRY(values::may_use(kernel, caller, "exec"));
    const ProcessRef process = TRY(kernel.get_process(caller.process));
    run->request = TRY(make_request(kernel, caller, *process, args));
    return prepare_fast(*run, *process, args);
  };
  if (const Status prepared = prepare(); !prepared) {
    done.complete(std::unexpected(prepared.error()));
    return;
  }
  const auto started = [run](const ExecStarted& begun) {
    run->pid_namespace = begun.pid_namespace;
    if (begun.pid_namespace == 0) run->supervisor = begun.host_pid;
    run->kernel.add_command(run->identity());
  };
  Completion<ExecReply> ended([run](Result<ExecReply> reply) {
    run->kernel.remove_command(run->identity());
    if (run->fast) return end_fast(run, std::move(reply));
    finish(run, reply, nullptr);
  });
  done.on_cancel([ended] { ended.cancel(); });
  // Only now: what is recorded are paths of the mount.
  ExecRequest request = run->request;
  if (!request.sandbox) show_as_on_host(kernel, request);
  kernel.exec().start(std::move(request), started, ended);
}

}  // namespace agentfs::shell
