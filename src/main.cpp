// SPDX-License-Identifier: MIT
// The command line. Everything else is done with files.
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <filesystem>

#include "base/text.h"
#include "dead_daemons.h"
#include "doctor.h"
#include "fs/fuse/session.h"
#include "fs/tree/tree.h"
#include "fsck.h"
#include "mountpoint.h"
#include "watcher.h"

namespace agentfs {
namespace {

struct MountArguments {
  std::string state = StateDirectory::standard();
  std::string mountpoint;
  std::vector<std::string> options;
  bool foreground = false;
  bool nonempty = false;
  int hang_seconds = 30;
};

int complain(std::string_view command, const Error& error) {
  fmt::print(stderr, "agentfs {}: {}\n", command, error.message);
  return 1;
}

// -o a,b,c: ours are taken out, what mount(8) hands every helper is dropped, the rest is passed on.
void take_options(MountArguments& given, DaemonOptions& daemon) {
  for (const std::string& list : given.options) {
    for (const std::string_view option : text::split(list, ',')) {
      if (option == "allow_other") {
        daemon.allow_other = true;
      } else if (option == "nonempty") {
        given.nonempty = true;
      } else if (option == "passthrough" || option == "nopassthrough") {
        daemon.passthrough = option == "passthrough";
      } else if (option == "io_uring" || option == "noio_uring") {
        daemon.io_uring = option == "io_uring";
      } else if (option == "data_session" || option == "nodata_session") {
        daemon.data_session = option == "data_session";
      } else if (option == "busy_poll" || option == "nobusy_poll") {
        daemon.busy_poll = option == "busy_poll";
      } else if (option == "noprobe") {
        daemon.probe_models = false;
      } else if (!option.empty() && option != "rw" && option != "auto" && option != "noauto" &&
                 option != "user" && option != "nofail" && option != "_netdev" &&
                 !option.starts_with("x-")) {
        daemon.mount_options.emplace_back(option);
      }
    }
  }
}

Status check_apart(const std::string& path, const std::string& state) {
  if (!text::is_in(state, path) && !text::is_in(path, state)) return ok();
  return fail(EINVAL, "{}: the mount and its state ({}) may not contain each other", path, state);
}

// What the directory holds would be out of reach for as long as the mount is there.
Status check_empty(const std::string& path) {
  std::error_code error;
  const std::filesystem::directory_iterator entries(path, error);
  if (error) return fail_errno(error.value(), path);
  if (entries == std::filesystem::directory_iterator()) return ok();
  return fail(ENOTEMPTY,
              "{}: not empty, and the mount would hide what it holds ({}, for one); an empty "
              "directory would do, or -o nonempty",
              path, text::shown(entries->path().filename().string()));
}

Status prepare_mountpoint(const std::string& path, bool nonempty) {
  switch (mount_state(path)) {
    case MountState::alive:
      return fail(EBUSY, "{}: agentfs is mounted there already, by pid {}", path,
                  serving_daemon(path, std::chrono::seconds(1)).value_or(0));
    case MountState::stale:
      return ok();  // the daemon clears it away when it has everything else
    case MountState::none:
      break;
  }
  struct stat found{};
  if (::stat(path.c_str(), &found) != 0) return fail_errno(path);
  if (!S_ISDIR(found.st_mode)) return fail(ENOTDIR, "{}: not a directory", path);
  return nonempty ? ok() : check_empty(path);
}

Status check_words(const MountArguments& given) {
  if (given.mountpoint.empty()) return fail(EINVAL, "no mountpoint is named; a directory would do");
  if (given.state.empty()) return fail(EINVAL, "--state: no state is named; a directory would do");
  std::error_code error;
  if (!std::filesystem::is_symlink(given.state, error) ||
      std::filesystem::exists(given.state, error)) {
    return ok();
  }
  return fail(ENOENT, "{}: a link that leads nowhere; what it leads to may be made first",
              given.state);
}

Status mount(MountArguments& given) {
  TRY(check_words(given));
  DaemonOptions daemon;
  daemon.probe_models = std::getenv("AGENTFS_NO_PROBE") == nullptr;
  take_options(given, daemon);
  daemon.mountpoint = TRY(absolute_path(given.mountpoint));
  TRY(fuse::check_options(daemon.mountpoint, daemon.mount_options));
  if (file::is_absent(given.state)) {  // nothing is made for what is refused
    std::error_code error;
    const auto state =
        std::filesystem::weakly_canonical(std::filesystem::absolute(given.state), error);
    if (!error) TRY(check_apart(daemon.mountpoint, state.lexically_normal().string()));
    TRY(prepare_mountpoint(daemon.mountpoint, given.nonempty));
  }
  TRY(file::make_directories(given.state, 0700));
  const std::string state_path = TRY(absolute_path(given.state));
  TRY(check_apart(daemon.mountpoint, state_path));
  TRY(StateDirectory::check_owner(state_path));
  TRY(end_dying(read_daemon_pid(state_path), daemon.mountpoint));
  // The state first: it says who has it, whatever is mounted where.
  auto prepared = prepare_mountpoint(daemon.mountpoint, given.nonempty);
  StateDirectory state = TRY(StateDirectory::acquire(state_path));
  TRY(prepared);
  if (given.foreground) return run_daemon(state, daemon, [] {}, nullptr);
  WatcherOptions watcher;
  watcher.hang = std::chrono::seconds(given.hang_seconds);
  return start_in_background(std::move(state), daemon, watcher);
}

// Somebody who only looks in for a moment, as the watcher does, is waited for.
Status unmount_soon(const std::string& path, bool lazy) {
  constexpr int kAttempts = 50;
  constexpr useconds_t kPause = 20'000;
  Status unmounted = unmount(path, lazy);
  for (int i = 0; i < kAttempts && !unmounted && unmounted.error().code == EBUSY; ++i) {
    ::usleep(kPause);
    unmounted = unmount(path, lazy);
  }
  if (unmounted || unmounted.error().code != EBUSY) return unmounted;
  const std::string users = users_of(path);
  if (users.empty()) return unmounted;
  return fail(EBUSY,
              "{}: files are open on it, or its directories in use: {}; end these, or use "
              "--lazy",
              path, users);
}

UniqueFd process_handle(int pid) {
  return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

// The watcher of a daemon that runs; nothing of one that nobody watches.
UniqueFd watcher_of(int daemon) {
  const auto fields = stat_fields(daemon);
  const auto parent = fields.size() > 1 ? text::number<int>(fields[1]) : std::nullopt;
  if (!parent) return {};
  UniqueFd handle = process_handle(*parent);
  const auto name = file::read(fmt::format("/proc/{}/comm", *parent));
  return name && text::trim(*name) == kWatcherName ? std::move(handle) : UniqueFd();
}

bool ends_before(const UniqueFd& process, std::chrono::steady_clock::time_point until) {
  if (!process) return true;
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      until - std::chrono::steady_clock::now());
  pollfd ended{.fd = process.get(), .events = POLLIN, .revents = 0};
  return ::poll(&ended, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0))) == 1;
}

// Unmounts, then waits until the daemon has written everything and gone, and its watcher, which has
// the state for as long as it lives.
Status umount_found(const std::string& path, bool lazy) {
  const MountState found = mount_state(path);
  if (found == MountState::none) return fail(EINVAL, "{}: agentfs is not mounted there", path);
  const bool answers = found == MountState::alive;
  const int daemon =
      answers ? serving_daemon(path, std::chrono::seconds(lazy ? 1 : 5)).value_or(0) : 0;
  const UniqueFd handle = daemon > 0 ? process_handle(daemon) : UniqueFd();
  const UniqueFd watcher = handle ? watcher_of(daemon) : UniqueFd();
  const std::string users = lazy && handle ? users_of(path) : "";
  TRY(unmount_soon(path, lazy || !answers));
  if (!handle && answers && !lazy) {
    return fail(EBUSY,
                "{}: unmounted, but its daemon did not say which process it is, and may not have "
                "ended yet",
                path);
  }
  if (!handle) return ok();
  // The sandboxes of commands that run hold the mount too, and with it the daemon: it ends them.
  if (!lazy) ::syscall(SYS_pidfd_send_signal, handle.get(), SIGTERM, nullptr, 0);
  // Who took the mount away lazily knows of files that stay open, perhaps for ever.
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(lazy ? 2 : 30);
  const bool ended = ends_before(handle, until);
  if (lazy && !ended) {
    fmt::print(stderr, "{}: unmounted; its daemon (pid {}) serves what is open to its end{}{}\n",
               path, daemon, users.empty() ? "" : ": ", users);
  }
  if (lazy || (ended && ends_before(watcher, until))) return ok();
  return fail(EBUSY, "{}: unmounted, but the daemon (pid {}){} has not ended yet", path, daemon,
              ended ? " has ended and its watcher" : "");
}

Status umount(const std::string& given, bool lazy) {
  const std::string path = TRY(absolute_path(given));
  // Lazily, too: without a name in the tree nobody but fusectl could cut off who waits for it.
  TRY(end_dying_servers(path));
  Status unmounted = umount_found(path, lazy);
  if (unmounted || unmounted.error().code != EINVAL || !is_mounted(path)) return unmounted;
  return umount_found(path, lazy);  // what was found had just given way to its successor
}

int dump_tree(const std::string& format) {
  if (format != "json") {
    fmt::print(stderr, "agentfs --dump-tree: {} is no format; json is\n", text::shown(format));
    return 2;
  }
  std::fputs(json::dump_pretty(tree::dump()).c_str(), stdout);
  return 0;
}

CLI::App* add_mount(CLI::App& app, MountArguments& arguments) {
  CLI::App* const mounting =
      app.add_subcommand("mount", "Mount the tree and return when it answers.");
  mounting
      ->add_option("--state", arguments.state,
                   "Where everything is kept; $XDG_DATA_HOME/agentfs if left out.")
      ->type_name("DIR");
  mounting->add_flag("-f,--foreground", arguments.foreground, "Run the daemon here, unwatched.");
  mounting->add_option("-o", arguments.options,
                       "Mount options: allow_other, data_session, io_uring, nobusy_poll, nonempty, "
                       "noprobe, passthrough, and those of FUSE.");
  mounting
      ->add_option("--hang-seconds", arguments.hang_seconds,
                   "Silence after which the daemon is started again: 1 to 3600, 30 if left out.")
      ->check(CLI::Range(1, 3600).description(""))
      ->type_name("SECONDS");
  mounting->add_option("MOUNTPOINT", arguments.mountpoint, "A directory.")->required();
  return mounting;
}

struct UnmountArguments {
  std::string mountpoint;
  bool lazy = false;
};

CLI::App* add_umount(CLI::App& app, UnmountArguments& arguments) {
  CLI::App* const unmounting =
      app.add_subcommand("umount", "Unmount, and wait for the daemon's end.");
  unmounting->add_flag("-l,--lazy", arguments.lazy,
                       "Also while files are open on it or processes stand in it.");
  unmounting->add_option("MOUNTPOINT", arguments.mountpoint, "Where it is mounted.")->required();
  return unmounting;
}

CLI::App* add_check(CLI::App& app, const std::string& name, const std::string& doc,
                    std::string& state) {
  CLI::App* const checking = app.add_subcommand(name, doc);
  checking->add_option("--state", state, "Where everything is kept.")->type_name("DIR");
  return checking;
}

CLI::App* add_fsck(CLI::App& app, std::string& state, FsckOptions& options) {
  CLI::App* const checking =
      add_check(app, "fsck", "Check the state of an unmounted tree, a line for each part.", state);
  checking->add_flag("--repair", options.repair,
                     "Mend first what needs no guessing; what is damaged is moved to "
                     "STATE/quarantine, nothing is removed.");
  checking->add_flag("--solidify", options.solidify,
                     "Make every fork a plain directory with all its files: before STATE is copied "
                     "file by file, or read without the daemon.");
  checking->add_flag("--rehash", options.rehash,
                     "Read every byte that has a known hash, git objects among them.");
  return checking;
}

int finish(std::string_view command, const Status& done) {
  return done ? 0 : complain(command, done.error());
}

int refuse_words(const CLI::App& app, const CLI::ParseError& error, std::string_view word) {
  const bool is_command = !word.empty() && !word.starts_with('-');
  const bool is_extra = error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError);
  if (!is_extra || !is_command || !app.get_subcommands().empty()) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  std::vector<std::string> commands;
  for (const CLI::App* each : app.get_subcommands([](const CLI::App*) { return true; })) {
    commands.push_back(each->get_name());
  }
  fmt::print(stderr, "agentfs: {} is no command, as {} are{}\n", text::shown(word),
             text::join(commands, ", "), text::did_you_mean(word, commands));
  return 2;
}

int run(int argc, char** argv) {
  CLI::App app("agentfs: an operating system for LLM agents, mounted as files");
  app.set_version_flag("--version", "agentfs " AGENTFS_VERSION);
  std::string format;
  app.add_option("--dump-tree", format, "Print every path, verb and syscall (json), and exit.");
  MountArguments to_mount;
  UnmountArguments to_unmount;
  std::string state = StateDirectory::standard();
  const CLI::App* const mounting = add_mount(app, to_mount);
  const CLI::App* const unmounting = add_umount(app, to_unmount);
  const CLI::App* const doctor =
      add_check(app, "doctor", "Say what this machine has and lacks.", state);
  FsckOptions to_check;
  const CLI::App* const fsck = add_fsck(app, state, to_check);
  app.require_subcommand(0, 1);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return refuse_words(app, error, argc > 1 ? argv[1] : "");
  }
  if (!format.empty()) return dump_tree(format);
  if (*mounting) return finish("mount", mount(to_mount));
  if (*unmounting) return finish("umount", umount(to_unmount.mountpoint, to_unmount.lazy));
  if (*doctor) return run_doctor(state);
  to_check.state = state;
  if (*fsck) return run_fsck(to_check);
  fmt::print("{}", app.help());
  return 2;
}

}  // namespace
}  // namespace agentfs

int main(int argc, char** argv) {
  // Whatever escapes is a broken invariant of ours; said in one line, not as an abort.
  try {
    return agentfs::run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "agentfs: {}\n", error.what());
    return 1;
  }
}
