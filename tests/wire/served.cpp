// SPDX-License-Identifier: MIT
#include "wire/served.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/trees/trees.h"
#include "catch.h"

namespace agentfs::test {
namespace {

// Room for messages of 1 MiB; an ordinary user has to do with the system's limit.
void enlarge(int fd) {
  const int size = 8 << 20;
  if (::setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) != 0) {
    ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  }
}

}  // namespace

WireSession::WireSession(vfs::FileSystem& files, vfs::Services& services, unsigned threads) {
  ::signal(SIGPIPE, SIG_IGN);  // libfuse writes to the channel as to a device
  int pair[2] = {-1, -1};
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
  enlarge(pair[0]);
  enlarge(pair[1]);
  wire_ = std::make_unique<WireKernel>(UniqueFd(pair[0]));
  fuse::SessionOptions options;
  options.mountpoint = fmt::format("/dev/fd/{}", pair[1]);  // owned by the session from here on
  options.threads = threads;
  auto mounted = fuse::Session::mount(files, services, options);
  REQUIRE(mounted);
  session_ = *std::move(mounted);
  runner_ = std::thread([this] { outcome_ = session_->run(); });
}

WireSession::~WireSession() {
  stop();
  CHECK(wire_->violations() == std::vector<std::string>());
}

void WireSession::stop() {
  if (session_ && runner_.joinable()) {
    session_->stop();
    runner_.join();
  }
  session_.reset();
}

Status WireSession::close() {
  wire_->close();
  runner_.join();
  session_.reset();
  return outcome_;
}

Bystander::Bystander() {
  const char* const arguments[] = {"sleep", "600", nullptr};
  REQUIRE(::posix_spawnp(&pid_, "sleep", nullptr, nullptr, const_cast<char* const*>(arguments),
                         environ) == 0);
}

Bystander::~Bystander() {
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

Served::Served(Options options) {
  auto opened = open_tree_store(directory.path());
  REQUIRE(opened);
  store = *std::move(opened);
  vfs::FileSystemParts parts;
  parts.services = &services;
  parts.root = &world_root();
  parts.trees = {{"/data", store.get()}};
  parts.owner = ::getuid();
  parts.group = ::getgid();
  files = std::make_unique<vfs::FileSystem>(std::move(parts));
  session = std::make_unique<WireSession>(*files, services, options.threads);
  if (options.initialise) REQUIRE(wire().init());
}

WireKernel::Place Served::open(std::string_view path, int flags) {
  const auto entry = wire().walk(path);
  REQUIRE(code_of(entry) == 0);
  const auto opened = wire().open(entry->nodeid, flags);
  REQUIRE(code_of(opened) == 0);
  return {.node = entry->nodeid, .handle = opened->fh, .offset = 0, .flags = flags};
}

std::string Served::read_all(std::string_view path) {
  const WireKernel::Place place = open(path, O_RDONLY);
  const auto text = wire().read(place, 1U << 20U);
  REQUIRE(code_of(text) == 0);
  REQUIRE(wire().release(place));
  return *text;
}

}  // namespace agentfs::test
