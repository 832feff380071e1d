// SPDX-License-Identifier: MIT
#include "fs/fuse/session.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <thread>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "base/users.h"
#include "fs/fuse/dispatch.h"
#include "fs/fuse/libfuse.h"
#include "fs/fuse/succession.h"
#include "fs/fuse/workers.h"

namespace agentfs::fuse {
namespace {

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

// Requests of one CPU that are with the daemon at a time; each has a buffer of a MiB.
constexpr unsigned kQueueDepth = 8;

std::vector<std::string> arguments_for(const SessionOptions& options) {
  std::vector<std::string> mount{"fsname=agentfs", "subtype=agentfs", "default_permissions"};
  if (options.allow_other) mount.emplace_back("allow_other");
  if (options.io_uring) {
    mount.insert(mount.end(), {"io_uring", fmt::format("io_uring_q_depth={}", kQueueDepth)});
  }
  mount.insert(mount.end(), options.options.begin(), options.options.end());
  return {"agentfs", "-o", text::join(mount, ",")};
}

// Tells the kernel what to forget, only ever from the thread of notices, and the announcer from the
// event thread; either may have it when the session has ended.
class Notifier final : public vfs::Invalidator {
 public:
  Notifier(const Context& context, std::shared_ptr<Announcer> announcer)
      : session_(context.session),
        channel_(context.channel),
        way_(context.parked),
        announcer_(std::move(announcer)) {}
  void inode(std::uint64_t id) override {
    way_->say([&] { ::fuse_lowlevel_notify_inval_inode(session_, id, 0, 0); });
  }
  void entry(std::uint64_t parent, const std::string& name) override {
    way_->say(
        [&] { ::fuse_lowlevel_notify_inval_entry(session_, parent, name.c_str(), name.size()); });
  }
  void removed(std::uint64_t parent, std::uint64_t node, const std::string& name) override {
    way_->say(
        [&] { ::fuse_lowlevel_notify_delete(session_, parent, node, name.c_str(), name.size()); });
  }
  void expire(std::uint64_t parent, const std::string& name) override {
    way_->say([&] { expire_entry(session_, parent, name); });
  }
  // Names that something is mounted on would lose it: those of the trees in the other session.
  bool expire_all() override {
    if (channel_->part() == vfs::Part::generated) return false;
    bool said = false;
    way_->say([&] { said = expire_all_entries(session_); });
    return said;
  }
  bool prune(const std::vector<std::uint64_t>& ids) override {
    bool said = false;
    way_->say([&] { said = prune_nodes(session_, ids); });
    return said;
  }
  void announce(const std::vector<TreeEvent>& changes) override {
    if (announcer_ != nullptr) announcer_->announce(changes);
  }

 private:
  fuse_session* session_;
  std::shared_ptr<vfs::Channel> channel_;
  std::shared_ptr<ParkedRequests> way_;
  std::shared_ptr<Announcer> announcer_;  // null: the session beside has told already
};

extern "C" void wake_up(int) {}  // its arrival alone ends a wait

// Ends the wait of the thread in libfuse's loop. That may be just about to wait, so it is woken
// until it has seen that the session exits. Threads: all.
class Waker : public std::enable_shared_from_this<Waker> {
 public:
  explicit Waker(EventLoop& loop) : loop_(loop) {}

  void enter() {
    struct sigaction action{};
    action.sa_handler = wake_up;  // without SA_RESTART: the wait for workers ends
    ::sigaction(SIGUSR1, &action, nullptr);
    Lock lock(mutex_);
    runner_ = ::pthread_self();
  }
  void leave() {
    Lock lock(mutex_);
    runner_.reset();
  }
  void wake() {
    Lock lock(mutex_);
    if (!runner_) return;
    ::pthread_kill(*runner_, SIGUSR1);
    loop_.after(std::chrono::milliseconds(50), [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->wake();
    });
  }

 private:
  EventLoop& loop_;
  Mutex<Rank::object> mutex_;
  std::optional<pthread_t> runner_ GUARDED_BY(mutex_);
};

// What is written to stderr meanwhile, where fusermount3 gives its reasons; passed on at the end.
class Overheard {
 public:
  Overheard() : text_(::memfd_create("stderr", MFD_CLOEXEC)) {
    if (text_) before_ = UniqueFd(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3));
    if (before_) ::dup2(text_.get(), STDERR_FILENO);
  }
  Overheard(const Overheard&) = delete;
  Overheard& operator=(const Overheard&) = delete;
  ~Overheard() { end(); }
  std::string end() {
    if (!before_) return {};
    ::dup2(before_.get(), STDERR_FILENO);
    before_.reset();
    ::lseek(text_.get(), 0, SEEK_SET);
    std::string said = file::read(text_.get()).value_or("");
    static_cast<void>(file::write_all(STDERR_FILENO, said));
    return said;
  }

 private:
  UniqueFd text_;
  UniqueFd before_;
};

// "EPERM: fusermount3: could not determine username; uid 4242 has no entry in passwd".
std::string why_not_mounted(int code, std::string_view said) {
  std::string why(errno_name(code));
  const std::string_view reason = text::trim(said);
  if (!reason.empty()) why += fmt::format(": {}", reason.substr(0, reason.find('\n')));
  const uid_t uid = ::geteuid();
  if (uid != 0 && !find_user(uid)) {
    why += fmt::format("; uid {} has no entry in passwd, and fusermount3 mounts for no such user",
                       uid);
  }
  return why;
}

}  // namespace

struct Session::Parts {
  Parts(vfs::FileSystem& files, vfs::Services& services, SessionOptions given)
      : options(std::move(given)),
        context{files.open_channel(),
                services,
                {},
                std::make_shared<ParkedRequests>(services.loop(), options.beside == nullptr),
                Backings(services),
                announcer_for(services, options),
                awake_for(services.loop(), options),
                options},
        waker(std::make_shared<Waker>(services.loop())) {
    if (options.beside != nullptr) context.channel->set_part(vfs::Part::trees);
    context.announcer->serve(context.channel);
  }
  ~Parts() { detach(); }
  // The helper goes through the mount as a whole.
  static std::shared_ptr<Announcer> announcer_for(vfs::Services& services,
                                                  const SessionOptions& options) {
    if (options.beside != nullptr) return options.beside->parts_->context.announcer;
    return std::make_shared<Announcer>(services, options.mountpoint);
  }
  static std::shared_ptr<AwakeCpus> awake_for(EventLoop& loop, const SessionOptions& options) {
    if (options.beside != nullptr) return options.beside->parts_->context.awake;
    return options.busy_poll ? keep_awake(loop) : nullptr;
  }
  void detach();
  // Whether the mount was taken down by somebody else.
  bool is_gone() const;

  SessionOptions options;
  Context context;
  std::shared_ptr<Waker> waker;
  std::shared_ptr<fuse_session> session;
  std::shared_ptr<Workers> workers;  // but of a session of io_uring, which libfuse ends
  std::atomic<bool> mounted = false;
  bool appeared = false;
  std::atomic<bool> stopping = false;
};

bool Session::Parts::is_gone() const {
  pollfd channel{.fd = ::fuse_session_fd(session.get()), .events = 0, .revents = 0};
  return ::poll(&channel, 1, 0) == 1 && (channel.revents & POLLERR) != 0;
}

void Session::Parts::detach() {
  context.channel->set_invalidator(nullptr);
  if (options.beside == nullptr) context.announcer->end();
  context.parked->end();
  context.channel->close();
  if (!mounted.exchange(false)) return;
  if (appeared && !is_gone()) ::umount2(options.mountpoint.c_str(), MNT_DETACH);
  ::fuse_session_unmount(session.get());
}

namespace {

Status mount_at(fuse_session& session, const std::string& place, const std::string& shown) {
  Overheard overheard;
  errno = 0;
  if (::fuse_session_mount(&session, place.c_str()) == 0) return ok();
  const int code = errno != 0 ? errno : EPERM;
  return fail(code, "{}: cannot be mounted ({}); agentfs doctor says what is missing", shown,
              why_not_mounted(code, overheard.end()));
}

}  // namespace

Library library() {
  Library found{.version = ::fuse_pkgversion()};
#if defined(FUSE_CAP_PASSTHROUGH)
  found.passthrough = true;
#endif
#if defined(FUSE_CAP_OVER_IO_URING)
  found.io_uring = true;
#endif
  return found;
}

Status check_options(const std::string& mountpoint, const std::vector<std::string>& options) {
  for (const std::string& option : options) {
    if (!option.starts_with("subtype=")) continue;
    return fail(EINVAL, "{}: {}: a mount of agentfs is known by its own; fsname=… would do",
                mountpoint, option);
  }
  SessionOptions wanted;
  wanted.options = options;
  Arguments arguments(arguments_for(wanted));
  fuse_session* const made =
      ::fuse_session_new(arguments.get(), &operations(), sizeof(fuse_lowlevel_ops), nullptr);
  if (made == nullptr) {
    return fail(EINVAL, "{}: FUSE does not take the options {}", mountpoint,
                text::join(options, ","));
  }
  ::fuse_session_destroy(made);
  return ok();
}

Session::Session(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Result<std::unique_ptr<Session>> Session::mount(vfs::FileSystem& files, vfs::Services& services,
                                                SessionOptions options) {
  auto parts = std::make_unique<Parts>(files, services, std::move(options));
  Arguments arguments(arguments_for(parts->options));
  if (fuse_session* const made = ::fuse_session_new(arguments.get(), &operations(),
                                                    sizeof(fuse_lowlevel_ops), &parts->context)) {
    parts->session.reset(made, ::fuse_session_destroy);
    parts->context.session = made;
    if (!parts->options.io_uring) {
      const unsigned cpus = std::thread::hardware_concurrency();
      parts->workers =
          std::make_shared<Workers>(*made, WorkersOptions{.threads = parts->options.threads,
                                                          .most_watchers = std::max(cpus, 2U) - 1,
                                                          .busy_poll = parts->options.busy_poll});
    }
  } else {
    return fail(EINVAL, "{}: FUSE takes no session", parts->options.mountpoint);
  }
  const std::string& aside = parts->options.aside;
  const std::string& place = aside.empty() ? parts->options.mountpoint : aside;
  TRY(mount_at(*parts->session, place, parts->options.mountpoint));
  parts->mounted = true;
  const bool is_beside = parts->options.beside != nullptr;
  // What is bound there, and what is taken away, is nobody else's.
  if (is_beside || !aside.empty()) ::mount(nullptr, place.c_str(), nullptr, MS_PRIVATE, nullptr);
  parts->context.channel->set_invalidator(
      std::make_shared<Notifier>(parts->context, is_beside ? nullptr : parts->context.announcer));
  return std::unique_ptr<Session>(new Session(std::move(parts)));
}

Session::~Session() = default;

Status Session::appear() {
  const SessionOptions& options = parts_->options;
  if (options.aside.empty()) return ok();
  TRY(succeed(options.aside, options.mountpoint, options.over_dead));
  parts_->appeared = true;
  return ok();
}

void Session::set_part(vfs::Part part) { parts_->context.channel->set_part(part); }

bool Session::on_io_uring() const { return parts_->context.on_io_uring; }

void Session::end_waits() { parts_->context.parked->end_waits(); }

// By libfuse's own threads, which it knows how to end beside those of its rings.
int Session::run_by_libfuse() {
  fuse_loop_config* const config = ::fuse_loop_cfg_create();
  ::fuse_loop_cfg_set_clone_fd(config, 0);
  ::fuse_loop_cfg_set_max_threads(config, parts_->options.threads);
  ::fuse_loop_cfg_set_idle_threads(config, parts_->options.threads);
  parts_->waker->enter();
  const int outcome = ::fuse_session_loop_mt(parts_->session.get(), config);
  parts_->waker->leave();
  ::fuse_loop_cfg_destroy(config);
  return outcome;
}

Status Session::run() {
  if (parts_->options.beside == nullptr) {
    auto& loop = parts_->context.services.loop();
    loop.post([announcer = parts_->context.announcer] { announcer->prepare(); });
  }
  const int outcome = parts_->workers ? parts_->workers->run() : run_by_libfuse();
  parts_->detach();
  if (outcome >= 0 || parts_->stopping) return ok();
  return fail_errno(-outcome, parts_->options.mountpoint);
}

// By the thread of notices: so it is not telling the kernel of a change, which may wait for an
// answer of workers that are about to end.
void Session::stop() {
  parts_->stopping = true;
  parts_->context.channel->set_invalidator(nullptr);
  parts_->context.services.notices().post(
      [session = std::weak_ptr(parts_->session), waker = parts_->waker, workers = parts_->workers] {
        const auto held = session.lock();
        if (!held) return;
        ::fuse_session_exit(held.get());
        if (workers) return workers->stop();
        waker->wake();
      });
}

}  // namespace agentfs::fuse
