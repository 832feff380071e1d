// SPDX-License-Identifier: MIT
#include "fs/fuse/session.h"

#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>

#include "base/log.h"
#include "base/text.h"
#include "fs/fuse/dispatch.h"

namespace agentfs::fuse {
namespace {

struct SessionCloser {
  void operator()(fuse_session* session) const { ::fuse_session_destroy(session); }
};
using SessionHandle = std::unique_ptr<fuse_session, SessionCloser>;

class Arguments {
 public:
  explicit Arguments(const std::vector<std::string>& words) {
    for (const std::string& word : words) ::fuse_opt_add_arg(&arguments_, word.c_str());
  }
  ~Arguments() { ::fuse_opt_free_args(&arguments_); }
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;
  fuse_args* get() { return &arguments_; }

 private:
  fuse_args arguments_ = FUSE_ARGS_INIT(0, nullptr);
};

std::vector<std::string> arguments_for(const SessionOptions& options) {
  std::vector<std::string> mount{"fsname=agentfs", "subtype=agentfs", "default_permissions"};
  if (options.allow_other) mount.emplace_back("allow_other");
  mount.insert(mount.end(), options.options.begin(), options.options.end());
  return {"agentfs", "-o", text::join(mount, ",")};
}

// Tells the kernel what to forget; only ever from the event thread.
class Notifier final : public vfs::Invalidator {
 public:
  explicit Notifier(fuse_session* session) : session_(session) {}
  void inode(std::uint64_t id) override { ::fuse_lowlevel_notify_inval_inode(session_, id, 0, 0); }
  void entry(std::uint64_t parent, const std::string& name) override {
    ::fuse_lowlevel_notify_inval_entry(session_, parent, name.c_str(), name.size());
  }

 private:
  fuse_session* session_;
};

extern "C" void wake_up(int) {}  // its arrival alone ends a wait

}  // namespace

struct Session::Parts {
  Parts(vfs::FileSystem& files, vfs::Services& services, SessionOptions given)
      : context{files, services, {}, ParkedRequests(services.loop())}, options(std::move(given)) {}

  Context context;
  SessionOptions options;
  SessionHandle session;
  std::unique_ptr<Notifier> notifier;
  std::atomic<bool> mounted = false;
  std::atomic<bool> running = false;
  std::atomic<bool> stopping = false;
  std::atomic<pthread_t> runner{};
};

Session::Session(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Result<std::unique_ptr<Session>> Session::mount(vfs::FileSystem& files, vfs::Services& services,
                                                SessionOptions options) {
  auto parts = std::make_unique<Parts>(files, services, std::move(options));
  Arguments arguments(arguments_for(parts->options));
  parts->session.reset(::fuse_session_new(arguments.get(), &operations(), sizeof(fuse_lowlevel_ops),
                                          &parts->context));
  if (!parts->session) {
    return fail(EINVAL, "{}: FUSE does not take the options {}", parts->options.mountpoint,
                text::join(parts->options.options, ","));
  }
  errno = 0;
  if (::fuse_session_mount(parts->session.get(), parts->options.mountpoint.c_str()) != 0) {
    const int code = errno != 0 ? errno : EPERM;
    return fail(code, "{}: cannot be mounted ({}); agentfs doctor says what is missing",
                parts->options.mountpoint, errno_name(code));
  }
  parts->mounted = true;
  parts->notifier = std::make_unique<Notifier>(parts->session.get());
  files.set_invalidator(parts->notifier.get());
  return std::unique_ptr<Session>(new Session(std::move(parts)));
}

Session::~Session() {
  parts_->context.parked.end();
  parts_->context.files.set_invalidator(nullptr);
  if (parts_->mounted.exchange(false)) ::fuse_session_unmount(parts_->session.get());
}

Status Session::run() {
  struct sigaction action{};
  action.sa_handler = wake_up;  // without SA_RESTART: the wait for workers ends
  ::sigaction(SIGUSR1, &action, nullptr);
  fuse_loop_config* const config = ::fuse_loop_cfg_create();
  ::fuse_loop_cfg_set_clone_fd(config, 0);
  ::fuse_loop_cfg_set_max_threads(config, parts_->options.threads);
  ::fuse_loop_cfg_set_idle_threads(config, parts_->options.threads);
  parts_->runner = ::pthread_self();
  parts_->running = true;
  const int outcome = ::fuse_session_loop_mt(parts_->session.get(), config);
  parts_->running = false;
  ::fuse_loop_cfg_destroy(config);
  parts_->context.parked.end();
  parts_->context.files.set_invalidator(nullptr);
  if (parts_->mounted.exchange(false)) ::fuse_session_unmount(parts_->session.get());
  if (outcome >= 0 || parts_->stopping) return ok();
  return fail_errno(-outcome, parts_->options.mountpoint);
}

void Session::stop() {
  parts_->stopping = true;
  ::fuse_session_exit(parts_->session.get());
  // The main loop may be just about to wait: it is woken until it has seen the flag.
  if (!parts_->running) return;
  ::pthread_kill(parts_->runner, SIGUSR1);
  parts_->context.services.loop().after(std::chrono::milliseconds(50), [this] { stop(); });
}

}  // namespace agentfs::fuse
