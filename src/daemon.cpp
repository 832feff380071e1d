// SPDX-License-Identifier: MIT
#include "daemon.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agents/agents.h"
#include "backends/blobs/blobs.h"
#include "backends/compare/comparing.h"
#include "backends/exec/sandbox_driver.h"
#include "backends/forest.h"
#include "backends/git/commit_process.h"
#include "backends/http/curl_driver.h"
#include "backends/http/discovery.h"
#include "backends/imports/imports.h"
#include "backends/past/past.h"
#include "backends/script/script_driver.h"
#include "backends/segments/segments.h"
#include "backends/sqlite/sqlite.h"
#include "backends/trees/trees.h"
#include "base/log.h"
#include "base/spawn.h"
#include "fs/services/kernel_services.h"
#include "fs/services/quota_feed.h"
#include "fs/tree/tree.h"
#include "journal_key.h"
#include "kernel/configuration.h"
#include "kernel/restore_order.h"
#include "mount_watch.h"
#include "serving.h"

namespace agentfs {
namespace {

constexpr std::size_t kDriverThreads = 4;

Result<std::unique_ptr<RecordStore>> open_store(const std::string& path) {
  auto store = open_sqlite(path);
  if (store || store.error().code != EBADMSG) return store;
  // The store is a fold of the journal: a damaged one is set aside and filled again.
  log::error("{}; it is kept aside and made anew from the journal", store.error().message);
  return replace_damaged_sqlite(path);
}

// Without its journal the state is nothing, so a damaged one is for a person to decide about.
Result<std::unique_ptr<Journal>> open_journal(LogStore& log, SigningKey key, const Clock& clock) {
  auto journal = Journal::open(log, std::move(key), clock);
  if (journal || journal.error().code != EBADMSG) return journal;
  return fail(EBADMSG,
              "{}; agentfs fsck says more, and what would do is STATE/journal from a backup, "
              "or another --state",
              journal.error().message);
}

// Everything below the kernel, in order of making; taken down in the opposite order.
struct Backends {
  SystemClock clock;
  EventLoop loop;
  WorkerPool pool{kDriverThreads};
  std::unique_ptr<LogStore> log;
  std::unique_ptr<Journal> journal;
  std::unique_ptr<RecordStore> store;
  std::unique_ptr<BlobStore> blobs;
  std::unique_ptr<CommitProcess> repository;
  std::unique_ptr<ExecDriver> exec;
  std::unique_ptr<ModelDriver> http;
  std::unique_ptr<ModelDriver> script;
  std::unique_ptr<ImportStore> imports;  // outlives what lends from it
  std::unique_ptr<PastStore> past;
  const std::unique_ptr<TreeComparer> comparer = open_comparer();
  const std::unique_ptr<TreeMerger> merger = open_merger();
  const std::unique_ptr<OverlayFolder> folder = open_folder();
  std::unique_ptr<Forest> home;
  std::unique_ptr<Forest> workspaces;
  std::unique_ptr<TreeStore> repos;
  std::unique_ptr<TreeStore> tmp;
  std::vector<std::string> problems;

  static Result<std::unique_ptr<Backends>> open(const StateDirectory& state,
                                                const std::string& mountpoint) {
    auto b = std::make_unique<Backends>();
    b->log = TRY(open_segments(state.file("journal/segments")));
    b->problems = state.problems();
    std::string damage = TRY(mend_journal_key(state, Quarantine(state.path())));
    if (!damage.empty()) b->problems.push_back(std::move(damage));
    SigningKey key = TRY(SigningKey::ensure(state.file(kJournalKey)));
    b->journal = TRY(open_journal(*b->log, std::move(key), b->clock));
    b->store = TRY(open_store(state.file("agentfs.sqlite")));
    b->blobs = TRY(open_blobs(state.file("blobs")));
    b->repository =
        std::make_unique<CommitProcess>(b->clock, TRY(find_own_program("agentfs-commit")));
    b->exec = std::make_unique<SandboxDriver>(b->loop, TRY(find_sandbox_program()));
    b->http = std::make_unique<HttpModelDriver>(b->clock);
    b->script = std::make_unique<ScriptModelDriver>(b->loop, state.file("trees"), mountpoint);
    b->imports = TRY(open_imports(state.file("imports"), state.file("trees/workspaces"), true));
    b->past = TRY(open_past(state.file("past"), b->imports.get()));
    b->home =
        TRY(open_forest(state.file("trees/home"), state.file("trees/.home"), {.keeps_room = true}));
    b->workspaces = TRY(open_forest(state.file("trees/workspaces"), state.file("trees/.workspaces"),
                                    {.lender = b->imports.get(), .keeps_room = true}));
    b->repos = TRY(open_tree_store(state.file("trees/src/repos")));
    b->tmp = TRY(open_tree_store(state.file("trees/tmp")));
    return b;
  }

  KernelParts parts(const StateDirectory& state, const DaemonOptions& options) {
    KernelParts parts;
    parts.clock = &clock;
    parts.loop = &loop;
    parts.pool = &pool;
    parts.journal = journal.get();
    parts.store = store.get();
    parts.blobs = blobs.get();
    parts.past = past.get();
    parts.imports = imports.get();
    parts.forests = {{"/home", home.get()}, {"/workspaces", workspaces.get()}};
    parts.comparer = comparer.get();
    parts.merger = merger.get();
    parts.folder = folder.get();
    parts.repository = repository.get();
    parts.exec = exec.get();
    parts.model_drivers = {{"openai", http.get()}, {"script", script.get()}};
    parts.state = state.path();
    parts.problems = problems;
    parts.mountpoint = options.mountpoint;
    parts.owner = ::getuid();
    return parts;
  }

  vfs::FileSystemParts file_system_parts(vfs::Services& services, const StateDirectory& state,
                                         const DaemonOptions& options) {
    vfs::FileSystemParts parts;
    parts.services = &services;
    parts.root = &tree::root();
    parts.trees = {{"/home", home.get()},
                   {"/src/repos", repos.get()},
                   {"/tmp", tmp.get()},
                   {"/workspaces", workspaces.get()}};
    parts.past = past.get();
    parts.owner = ::getuid();
    parts.group = ::getgid();
    parts.shared = options.allow_other;
    parts.times = file::read(state.file("times")).value_or("");
    parts.open_files = state.file("open-files");
    parts.under_way = state.file("under-way");
    return parts;
  }
};

// The model behind the name "default" where /etc/models/default.toml does not say.
ModelSettings find_default_model(bool probe) {
  if (auto settings = settings_from_environment()) return *settings;
  if (probe) {
    if (auto settings = discover_local()) return *settings;
  }
  ModelSettings script;
  script.driver = "script";
  script.model = "script";
  return script;
}

void offer_default_model(Kernel& kernel, bool probe) {
  const bool is_set = kernel.configuration().text("models/default.toml").has_value();
  ModelSettings found = find_default_model(probe && !is_set);
  found.name = "default";
  log::info("the model named default is {} ({})", found.model,
            is_set ? "unless models/default.toml says another" : found.driver);
  kernel.configuration().set_found_default(std::move(found));
}

// Ends the mount at SIGTERM, SIGINT and SIGHUP, which every thread has blocked.
class SignalWatch {
 public:
  SignalWatch(EventLoop& loop, std::function<void()> end) : loop_(loop) {
    sigset_t signals;
    ::sigemptyset(&signals);
    for (const int number : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&signals, number);
    fd_ = UniqueFd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
    loop_.post([this, end = std::move(end)]() mutable {
      loop_.watch(fd_.get(), EPOLLIN, [this, end = std::move(end)](std::uint32_t) {
        signalfd_siginfo info{};
        if (::read(fd_.get(), &info, sizeof info) == sizeof info) end();
      });
    });
  }

 private:
  EventLoop& loop_;
  UniqueFd fd_;
};

void block_signals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) ::sigaddset(&signals, number);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

void beat_for_ever(EventLoop& loop, std::shared_ptr<std::function<void()>> beat) {
  (*beat)();
  loop.after(std::chrono::seconds(1), [&loop, beat] { beat_for_ever(loop, beat); });
}

// What of /proc/<pid> moves with a record about it, and of limits; and who sees what he has done.
void tell_files(vfs::FileSystem& files, const Record& record, ProcessId subject) {
  if (record.author.host_pid != 0) files.changed_by(static_cast<pid_t>(record.author.host_pid));
  tell_quotas(files, record);
  if (!subject) return;
  std::string path = fmt::format("/proc/{}/", subject.value);
  const std::size_t directory = path.size();
  for (const char* name : {"events.jsonl", "state", "status", "chat"}) {
    files.changed(path.replace(directory, std::string::npos, name));
  }
}

// What has not changed by then has the same mtime in the next daemon.
void keep_times(const StateDirectory& state, const vfs::FileSystem& files) {
  const Status kept = file::replace(state.file("times"), files.times(), 0600);
  if (!kept) log::warning("{}", kept.error().message);
}

}  // namespace

Status run_daemon(const StateDirectory& state, const DaemonOptions& options,
                  const std::function<void()>& ready, const std::function<void()>& beat) {
  block_signals();
  auto backends = TRY(Backends::open(state, options.mountpoint));
  auto kernel = TRY(Kernel::start(backends->parts(state, options)));
  offer_default_model(*kernel, options.probe_models);
  TRY(kernel->make_home(::getuid(), ::getgid()));  // from the start: sandboxes bind it
  KernelServices services(*kernel);
  vfs::FileSystem files(backends->file_system_parts(services, state, options));
  kernel->set_namespace(&files);
  resume_restores(*kernel);
  auto agents = std::make_unique<agents::Agents>(*kernel);
  kernel->set_userland(agents.get());
  const auto subscription = kernel->subscribe(
      [&](const Record& record, ProcessId subject) { tell_files(files, record, subject); });
  auto serving = TRY(Serving::mount(files, services, state, options));
  const SignalWatch signals(backends->loop, [&serving] { serving->stop(); });
  const MountWatch mounts(backends->loop, options.mountpoint, [&serving] { serving->end_waits(); });
  if (beat) {
    beat_for_ever(backends->loop, std::make_shared<std::function<void()>>([&files, beat] {
                    files.wait_for_turn();
                    beat();
                  }));
  }
  state.write_pid(::getpid());
  log::info("mounted at {}, state in {}", options.mountpoint, state.path());
  // Agents that were at work go on; what they do in the mount waits until run() serves it.
  kernel->resume();
  ready();
  const Status served = serving->run();
  kernel->unsubscribe(subscription);
  keep_times(state, files);
  backends->repository->stop();  // its commits are waited for next
  agents.reset();
  backends->exec.reset();
  backends->http.reset();
  backends->script.reset();
  backends->pool.stop();
  backends->loop.stop();
  kernel->stop();
  log::info("unmounted {}", options.mountpoint);
  state.remove_pid();
  return served;
}

}  // namespace agentfs
