// SPDX-License-Identifier: MIT
// The threads of a session: one watches, and what one answer waits for can come all the same.
#include "fs/fuse/workers.h"

#include <sched.h>
#include <signal.h>
#include <sys/socket.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <thread>

#include "base/file.h"
#include "catch.h"
#include "support/eventually.h"
#include "wire/wire_kernel.h"

namespace agentfs::test {
namespace {

constexpr fuse_ino_t kQuick = 1;
constexpr fuse_ino_t kKey = 2;      // lets those go on that wait
constexpr fuse_ino_t kWaiting = 3;  // is answered once the key was asked for

// A file system of three nodes whose attributes can be asked for.
class Nodes {
 public:
  static void attributes(fuse_req_t request, fuse_ino_t node, fuse_file_info*) {
    static_cast<Nodes*>(::fuse_req_userdata(request))->answer(request, node);
  }
  void unlock() {
    const std::lock_guard lock(mutex_);
    is_unlocked_ = true;
    changed_.notify_all();
  }
  bool await_waiting(unsigned count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return waiting_ >= count; });
  }

 private:
  void answer(fuse_req_t request, fuse_ino_t node) {
    if (node == kKey) unlock();
    if (node == kWaiting) {
      std::unique_lock lock(mutex_);
      ++waiting_;
      changed_.notify_all();
      changed_.wait(lock, [&] { return is_unlocked_; });
    }
    struct stat attributes{};
    attributes.st_ino = node;
    attributes.st_mode = S_IFREG | 0644;
    ::fuse_reply_attr(request, &attributes, 0);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  unsigned waiting_ = 0;
  bool is_unlocked_ = false;
};

class Running {
 public:
  explicit Running(const fuse::WorkersOptions& options) {
    ::signal(SIGPIPE, SIG_IGN);
    int pair[2] = {-1, -1};
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    kernel = std::make_unique<WireKernel>(UniqueFd(pair[0]));
    fuse_lowlevel_ops operations{};
    operations.getattr = Nodes::attributes;
    char name[] = "nodes";
    char* words[] = {name, nullptr};
    fuse_args arguments = FUSE_ARGS_INIT(1, words);
    session_ = ::fuse_session_new(&arguments, &operations, sizeof operations, &nodes);
    ::fuse_opt_free_args(&arguments);
    REQUIRE(session_ != nullptr);
    REQUIRE(::fuse_session_mount(session_, fmt::format("/dev/fd/{}", pair[1]).c_str()) == 0);
    workers_ = std::make_unique<fuse::Workers>(*session_, options);
    runner_ = std::thread([this] { outcome_ = workers_->run(); });
  }
  ~Running() {
    nodes.unlock();
    if (runner_.joinable()) stop();
    CHECK(kernel->violations() == std::vector<std::string>());
    workers_.reset();
    ::fuse_session_destroy(session_);
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  void ask_to_stop() {
    ::fuse_session_exit(session_);
    workers_->stop();
  }
  int stop() {
    ask_to_stop();
    return outcome();
  }
  int outcome() {
    runner_.join();
    return outcome_;
  }
  std::uint64_t ask(fuse_ino_t node) {
    return kernel->send(FUSE_GETATTR, node, std::string(sizeof(fuse_getattr_in), '\0'));
  }
  bool answers(std::uint64_t number) { return kernel->await(number).has_value(); }

  Nodes nodes;
  std::unique_ptr<WireKernel> kernel;

 private:
  fuse_session* session_ = nullptr;
  std::unique_ptr<fuse::Workers> workers_;
  int outcome_ = -1;
  std::thread runner_;
};

std::vector<pid_t> worker_threads() {
  std::vector<pid_t> found;
  for (const auto& one : std::filesystem::directory_iterator("/proc/self/task")) {
    const std::string name = file::read(one.path().string() + "/comm").value_or("");
    if (name == "fuse_worker\n") found.push_back(std::stoi(one.path().filename().string()));
  }
  return found;
}

constexpr fuse::WorkersOptions kWays[] = {
    {.threads = 4, .most_watchers = 1, .busy_poll = false},
    {.threads = 4, .most_watchers = 1, .busy_poll = true},
    {.threads = 4, .most_watchers = 3, .busy_poll = true},
};

}  // namespace

TEST_CASE("workers: what an answer waits for can be asked, whatever number of threads wait") {
  for (const fuse::WorkersOptions& way : kWays) {
    for (unsigned waiting = 1; waiting < way.threads; ++waiting) {
      Running running(way);
      REQUIRE(running.kernel->init());
      std::vector<std::uint64_t> asked;
      for (unsigned i = 0; i < waiting; ++i) asked.push_back(running.ask(kWaiting));
      CHECK(running.answers(running.ask(kQuick)));
      CHECK_FALSE(running.kernel->is_answered(asked.front()));
      CHECK(running.answers(running.ask(kKey)));
      for (const std::uint64_t each : asked) CHECK(running.answers(each));
      CHECK(running.stop() == 0);
    }
  }
}

TEST_CASE("workers: each of many requests is answered, and after a rest the next one") {
  for (const fuse::WorkersOptions& way : kWays) {
    Running running(way);
    REQUIRE(running.kernel->init());
    for (int round = 0; round < 3; ++round) {
      std::vector<std::uint64_t> asked;
      for (int i = 0; i < 2'000; ++i) asked.push_back(running.ask(kQuick));
      for (const std::uint64_t each : asked) REQUIRE(running.answers(each));
      std::this_thread::sleep_for(std::chrono::milliseconds(30));  // the supervisor dozes off
    }
    CHECK(running.stop() == 0);
  }
}

TEST_CASE("workers: who waits for a CPU is not helped by more threads") {
  const fuse::WorkersOptions way = kWays[1];
  Running running(way);
  REQUIRE(running.kernel->init());
  REQUIRE(running.answers(running.ask(kQuick)));
  REQUIRE(test::eventually([&] { return worker_threads().size() == way.threads; }));
  cpu_set_t one{};
  CPU_SET(::sched_getcpu(), &one);
  for (const pid_t thread : worker_threads()) {
    const sched_param none{};
    REQUIRE(::sched_setscheduler(thread, SCHED_IDLE, &none) == 0);
    REQUIRE(::sched_setaffinity(thread, sizeof one, &one) == 0);
  }
  std::atomic<bool> is_over = false;
  std::vector<std::jthread> others;
  for (int i = 0; i < 4; ++i) {
    others.emplace_back([&] {
      ::sched_setaffinity(0, sizeof one, &one);
      while (!is_over) continue;
    });
  }
  for (int i = 0; i < 50; ++i) CHECK(running.answers(running.ask(kQuick)));
  CHECK(worker_threads().size() == way.threads);
  is_over = true;
  CHECK(running.stop() == 0);
}

TEST_CASE("workers: they end when told to, asked or not, and before they have begun") {
  for (const fuse::WorkersOptions& way : kWays) {
    {
      CHECK(Running(way).stop() == 0);
    }
    Running running(way);
    REQUIRE(running.kernel->init());
    const std::uint64_t asked = running.ask(kWaiting);
    REQUIRE(running.nodes.await_waiting(1));
    running.ask_to_stop();
    running.nodes.unlock();
    CHECK(running.outcome() == 0);
    CHECK(running.answers(asked));
  }
}

TEST_CASE("workers: they end with the channel") {
  for (const fuse::WorkersOptions& way : kWays) {
    Running running(way);
    REQUIRE(running.kernel->init());
    CHECK(running.answers(running.ask(kQuick)));
    running.kernel->close();
    CHECK(running.outcome() != -1);
  }
}

}  // namespace agentfs::test
