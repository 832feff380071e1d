// SPDX-License-Identifier: MIT
#include "serving.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "mountpoint.h"

namespace agentfs {
namespace {

// Whether a directory lies on a file system that itself lies on others.
bool is_stacked(const std::string& path) {
  constexpr long kOverlay = 0x794c7630;  // OVERLAYFS_SUPER_MAGIC
  struct statfs found{};
  return ::statfs(path.c_str(), &found) == 0 && found.f_type == kOverlay;
}

// A directory of ours to mount on, with nothing of a crash on it.
Result<std::string> place_aside(const StateDirectory& state, const std::string& name) {
  std::string place = state.file(name);
  if (mount_state(place) != MountState::none) TRY(unmount(place, true));
  TRY(file::make_directories(place, 0700));
  return place;
}

// What a dead daemon left stays until its successor can take its place: as long as it stands there,
// whoever writes below the mountpoint gets an error, and nobody's work ends up in the directory
// underneath. An ordinary user's fusermount3 cannot put one mount below another: a moment is left.
Result<fuse::SessionOptions> session_options(const StateDirectory& state,
                                             const DaemonOptions& options, bool has_trees) {
  fuse::SessionOptions session;
  session.mountpoint = options.mountpoint;
  session.allow_other = options.allow_other;
  session.options = options.mount_options;
  session.passthrough = options.passthrough && ::geteuid() == 0;
  session.busy_poll = options.busy_poll && std::thread::hardware_concurrency() > 1;
  session.stacked_disk = is_stacked(state.file("trees"));
  const MountState found = mount_state(options.mountpoint);
  const bool is_anothers = options.succeeds && found == MountState::alive &&
                           serving_daemon(options.mountpoint, std::chrono::seconds(1)).has_value();
  if ((options.succeeds && found == MountState::none) || is_anothers) {
    return fail(ECANCELED, "{}: was unmounted after the last daemon's end", options.mountpoint);
  }
  session.over_dead = found == MountState::stale;
  if (session.over_dead && ::geteuid() != 0) {
    TRY(unmount(options.mountpoint, true));
    session.over_dead = false;
  }
  if (session.over_dead || has_trees) session.aside = TRY(place_aside(state, "mount"));
  return session;
}

std::string why_no_data_session() {
  if (::geteuid() == 0) return {};
  return "the trees are bound over those of the mount, which root alone may; mount as root";
}

// What is asked for and not to be had is told in the log.
bool is_to_be_had(std::string_view option, const std::string& why_not) {
  if (why_not.empty()) return true;
  log::warning("-o {}: {}; until then the mount does without", option, why_not);
  return false;
}

}  // namespace

std::string why_no_io_uring() {
  const fuse::Library library = fuse::library();
  if (!library.io_uring) {
    return fmt::format("libfuse {} has none; scripts/deps fuse builds one that has",
                       library.version);
  }
  if (std::string why_not = why_no_data_session(); !why_not.empty()) return why_not;
  const std::string setting = "/sys/module/fuse/parameters/enable_uring";
  const auto enabled = file::read(setting);
  if (!enabled) return "this kernel has none; Linux 6.14 or newer has";
  if (text::trim(*enabled) == "Y") return {};
  return fmt::format("the kernel's is switched off; echo Y > {}, as root, switches it on", setting);
}

Result<std::unique_ptr<Serving>> Serving::mount(vfs::FileSystem& files, vfs::Services& services,
                                                const StateDirectory& state,
                                                const DaemonOptions& options) {
  const bool io_uring = options.io_uring && is_to_be_had("io_uring", why_no_io_uring());
  const bool apart = options.data_session && is_to_be_had("data_session", why_no_data_session());
  std::unique_ptr<Serving> serving(new Serving(files, services));
  serving->tell({});
  serving->mountpoint_ = options.mountpoint;
  auto main = TRY(session_options(state, options, io_uring || apart));
  if (!io_uring && !apart) {
    serving->main_ = TRY(fuse::Session::mount(files, services, std::move(main)));
    TRY(serving->main_->appear());
    return serving;
  }
  TRY(serving->begin(std::move(main), TRY(place_aside(state, "trees.mount")), io_uring));
  return serving;
}

void Serving::tell(const Trees& trees) {
  services_.feature("data_session", trees.are_apart);
  services_.feature("io_uring", trees.are_on_io_uring);
}

Status Serving::begin(fuse::SessionOptions main, const std::string& trees_place, bool io_uring) {
  fuse::SessionOptions trees = main;
  trees.io_uring = io_uring;
  trees.mountpoint = trees_place;
  trees.aside.clear();
  trees.over_dead = false;
  const std::string aside = main.aside;
  main_ = TRY(fuse::Session::mount(files_, services_, std::move(main)));
  main_thread_ = std::thread([this] { outcome_ = main_->run(); });
  trees.beside = main_.get();
  Status begun = begin_trees(std::move(trees));
  // The places are known to the host's kernel from the binding on, and are to stay what they are.
  if (begun) {
    main_->set_part(vfs::Part::generated);
    begun = bind_trees(trees_place, aside);
    ::umount2(trees_place.c_str(), MNT_DETACH);
  }
  if (!begun) {
    log::warning("-o {}: {}; until then one session serves all",
                 io_uring ? "io_uring" : "data_session", begun.error().message);
    if (trees_) trees_->stop();
    if (trees_thread_.joinable()) trees_thread_.join();
    trees_.reset();
    take_over();
  }
  if (trees_) tell({.are_apart = true, .are_on_io_uring = io_uring});
  TRY(main_->appear());
  if (!trees_) return ok();
  Lock lock(mutex_);
  bound_ = TreeMounts::of(mountpoint_);
  return ok();
}

Status Serving::begin_trees(fuse::SessionOptions options) {
  const std::string place = options.mountpoint;
  const bool io_uring = options.io_uring;
  trees_ = TRY(fuse::Session::mount(files_, services_, std::move(options)));
  trees_thread_ = std::thread([this] { serve_trees(); });
  constexpr std::chrono::seconds kPatience(10);
  if (!answers_within(place, kPatience)) {
    return fail(EIO, "its session has not answered within {} s", kPatience.count());
  }
  if (!io_uring || trees_->on_io_uring()) return ok();
  return fail(ENOTSUP, "the kernel or libfuse has refused it");
}

// It ends before the main one when all of its mounts were taken away, as `umount -R` does, or when
// its connection was aborted.
void Serving::serve_trees() {
  const Status served = trees_->run();
  if (!served) log::error("the session of the trees: {}", served.error().message);
  if (stopping_ || main_is_over_) return;
  TreeMounts left;
  {
    Lock lock(mutex_);
    left = std::exchange(bound_, {});
  }
  left.detach();
  take_over();
}

void Serving::take_over() {
  tell({});
  main_->set_part(vfs::Part::whole);
  files_.trees_moved();
}

Status Serving::run() {
  if (!main_thread_.joinable()) return main_->run();
  main_thread_.join();
  main_is_over_ = true;
  if (trees_ && stopping_) trees_->stop();
  if (trees_thread_.joinable()) trees_thread_.join();
  return outcome_;
}

void Serving::stop() {
  stopping_ = true;
  main_->stop();
  if (trees_) trees_->stop();
}

Serving::~Serving() {
  if (main_thread_.joinable()) {
    stop();
    static_cast<void>(run());
  }
}

}  // namespace agentfs
