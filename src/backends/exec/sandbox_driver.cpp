// SPDX-License-Identifier: MIT
#include "backends/exec/sandbox_driver.h"

#include <unistd.h>

#include <future>
#include <unordered_map>

#include "backends/exec/bubblewrap.h"
#include "backends/exec/cgroups.h"
#include "backends/exec/command.h"
#include "backends/exec/inside/protocol.h"
#include "base/log.h"
#include "base/spawn.h"
#include "base/text.h"

namespace agentfs {
namespace {

using exec::Field;

constexpr std::size_t kLongestCommand = (128u << 10) - 1;  // the kernel's limit for one argument
constexpr std::chrono::seconds kLastWait{15};

// Root's daemon lends nobody its rights; another's has only its own.
bool changes_user(const ExecRequest& request) {
  return request.user && request.user->uid != ::geteuid();
}

Status check_user(const ExecRequest& request) {
  if (!changes_user(request) || ::geteuid() == 0) return ok();
  return fail(EPERM,
              "command: the daemon is uid {} and cannot run it as uid {}; a daemon of root, or a "
              "mount of your own, would do",
              ::geteuid(), request.user->uid);
}

bool has_nul(std::string_view text) { return text.find('\0') != text.npos; }

Status check_overlay(const ExecRequest& request) {
  if (!request.overlay) return ok();
  const ExecOverlay& overlay = *request.overlay;
  if (::geteuid() != 0 || !request.sandbox) {
    return fail(ENOTSUP, "overlay: takes a daemon of root and a sandbox; fs=coherent would do");
  }
  for (const std::string& path : {overlay.inside, overlay.lower, overlay.upper, overlay.work}) {
    if (!path.starts_with('/') || has_nul(path)) {
      return fail(EINVAL, "overlay: not an absolute path ({})", text::shown(path));
    }
  }
  for (const auto& bind : request.binds) {
    if (bind.second == overlay.inside) return ok();
  }
  return fail(EINVAL, "overlay: {} is none of the binds", text::shown(overlay.inside));
}

Status check_request(const ExecRequest& request) {
  if (request.command.empty()) return fail(EINVAL, "command: empty; a line for sh -c would do");
  if (has_nul(request.command)) return fail(EINVAL, "command: has a NUL byte in it");
  if (request.command.size() > kLongestCommand) {
    return fail(E2BIG, "command: too long ({} bytes); at most {}, or put it into a file",
                request.command.size(), kLongestCommand);
  }
  TRY(check_user(request));
  if (!request.cwd.starts_with('/') || has_nul(request.cwd)) {
    return fail(EINVAL, "cwd: not an absolute path ({}); a directory the command can see would do",
                text::shown(request.cwd));
  }
  for (const auto& [name, value] : request.environment) {
    if (!name.empty() && !has_nul(name) && !name.contains('=') && !has_nul(value)) continue;
    return fail(EINVAL, "environment: not a name and a value without NUL ({})", text::shown(name));
  }
  TRY(check_overlay(request));
  for (const auto& [host, inside] : request.binds) {
    if (has_nul(host) || has_nul(inside)) return fail(EINVAL, "bind: has a NUL byte in it");
  }
  return ok();
}

void add(std::string& fields, Field field, std::string_view value) {
  fields += static_cast<char>(field);
  fields += value;
  fields += '\0';
}

// The daemon's environment stays with the daemon: what a command gets starts from this.
void add_environment(std::string& fields, const ExecRequest& request) {
  std::vector<std::pair<std::string, std::string>> variables = {
      {"PATH", "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"},
      {"HOME", "/tmp"},
      {"LANG", "C.UTF-8"},
      {"TERM", "dumb"},
      {"USER", "agent"},
      {"PWD", request.cwd}};
  for (const auto& [name, value] : request.environment) {
    std::erase_if(variables, [&name](const auto& variable) { return variable.first == name; });
    variables.emplace_back(name, value);
  }
  for (const auto& [name, value] : variables) add(fields, Field::environment, name + "=" + value);
}

void add_overlay(std::string& fields, const ExecRequest& request) {
  add(fields, Field::overlay_inside, request.overlay->inside);
  add(fields, Field::overlay_lower, request.overlay->lower);
  add(fields, Field::overlay_upper, request.overlay->upper);
  add(fields, Field::overlay_work, request.overlay->work);
}

}  // namespace

// Everything but the constants is touched on the event thread only.
struct SandboxDriver::State {
  State(EventLoop& event_loop, std::string sandbox_program)
      : loop(event_loop),
        program(std::move(sandbox_program)),
        bubblewrap(exec::find_bubblewrap()),
        places(exec::find_cgroup_places()) {}

  EventLoop& loop;
  const std::string program;
  const Result<exec::Bubblewrap> bubblewrap;
  const exec::CgroupPlaces places;
  std::unordered_map<std::uint64_t, std::shared_ptr<exec::Command>> commands;
  std::uint64_t last_number = 0;
  bool closing = false;
  std::promise<void> empty;

  std::string specification(const ExecRequest& request, const exec::CommandGroups& groups) const;
  Result<std::vector<std::string>> arguments(const ExecRequest& request) const;
  void begin(const std::shared_ptr<State>& self, const std::shared_ptr<exec::Command>& command);
  void gone(std::uint64_t number);
  void close();
};

std::string SandboxDriver::State::specification(const ExecRequest& request,
                                                const exec::CommandGroups& groups) const {
  std::string fields;
  add(fields, Field::command, request.command);
  add(fields, Field::directory, request.cwd);
  add_environment(fields, request);
  for (const auto& bind : request.binds) add(fields, Field::writable, bind.second);
  if (request.network) add(fields, Field::network, "");
  if (changes_user(request)) {
    const ExecUser& user = *request.user;
    add(fields, Field::user,
        fmt::format("{} {} {}", user.uid, user.gid, fmt::join(user.groups, " ")));
  }
  if (request.overlay) add_overlay(fields, request);
  const ExecLimits& limits = request.limits;
  add(fields, Field::file_bytes, std::to_string(limits.file_bytes));
  if (!places.limits_memory()) {
    add(fields, Field::address_space, std::to_string(limits.memory_bytes));
  }
  // Counted for each user namespace, so without one it would count all of the user's processes.
  if (request.sandbox) add(fields, Field::processes, std::to_string(limits.processes));
  return fields + groups.fields(limits);
}

Result<std::vector<std::string>> SandboxDriver::State::arguments(const ExecRequest& request) const {
  const std::string self = std::to_string(::getpid());
  if (!request.sandbox) return std::vector<std::string>{program, "plain", self};
  if (!bubblewrap) return std::unexpected(bubblewrap.error());
  std::vector<std::string> all{program, "enter", self};
  auto more = TRY(exec::bubblewrap_arguments(*bubblewrap, request, program));
  all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  return all;
}

void SandboxDriver::State::begin(const std::shared_ptr<State>& self,
                                 const std::shared_ptr<exec::Command>& command) {
  if (closing) {
    return command->fail_start({EINTR, "command: the daemon is ending; nothing was run"});
  }
  if (auto fit = check_request(command->request()); !fit) {
    return command->fail_start(std::move(fit).error());
  }
  auto line = arguments(command->request());
  if (!line) return command->fail_start(std::move(line).error());
  const std::uint64_t number = ++last_number;
  exec::Launch launch;
  launch.arguments = *std::move(line);
  launch.groups = exec::CommandGroups(places, number);
  launch.specification = specification(command->request(), launch.groups);
  commands.emplace(number, command);
  // Posted, so that the command is not destroyed inside its own function.
  command->begin(std::move(launch),
                 [this, self, number] { loop.post([this, self, number] { gone(number); }); });
}

void SandboxDriver::State::gone(std::uint64_t number) {
  commands.erase(number);
  if (closing && commands.empty()) empty.set_value();
}

void SandboxDriver::State::close() {
  closing = true;
  if (commands.empty()) return empty.set_value();
  for (const auto& [number, command] : commands) command->stop("cancel");
}

SandboxDriver::SandboxDriver(EventLoop& loop, std::string program)
    : state_(std::make_shared<State>(loop, std::move(program))) {}

SandboxDriver::~SandboxDriver() {
  auto empty = state_->empty.get_future();
  state_->loop.post([state = state_] { state->close(); });
  if (empty.wait_for(kLastWait) != std::future_status::ready) {
    log::warning("exec: commands are left that could not be killed");
  }
  exec::remove_cgroup_places(state_->places);
}

void SandboxDriver::start(ExecRequest request, std::function<void(const ExecStarted&)> started,
                          Completion<ExecReply> done) {
  EventLoop& loop = state_->loop;
  auto command =
      std::make_shared<exec::Command>(loop, std::move(request), std::move(started), done);
  loop.post([state = state_, command] { state->begin(state, command); });
  done.on_cancel([&loop, weak = std::weak_ptr(command)] {
    loop.post([weak] {
      if (const auto running = weak.lock()) running->stop("cancel");
    });
  });
}

Result<std::string> find_sandbox_program() { return find_own_program("agentfs-sandbox"); }

}  // namespace agentfs
