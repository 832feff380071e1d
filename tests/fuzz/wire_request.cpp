// SPDX-License-Identifier: MIT
// Arbitrary requests to a session: no body makes it crash, and each is answered.
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <set>
#include <thread>

#include "fs/fuse/session.h"
#include "fs/vfs/directory.h"

namespace agentfs {
namespace {

struct Object {};

Result<std::shared_ptr<const Object>> find_object(const Caller&, const vfs::Key&) {
  return std::make_shared<const Object>();
}
Result<std::string> show(const Object&, const Caller&) { return std::string("value\n"); }
Status set(const Object&, const Caller&, std::string_view) { return ok(); }
Status deliver(const Object&, const Caller&, std::string_view) { return ok(); }
Status say(const Object&, const Caller&, const fcp::Rest&) { return ok(); }
void ask(const Object&, const Caller&, std::string request, Completion<std::string> done) {
  done.complete(std::move(request));
}
Result<std::string> link(const Object&, const Caller&) { return std::string("value"); }

constexpr auto kVerbs = vfs::verbs<Object>({vfs::verb<say>("say", "say WORDS", "Says words.")});
constexpr auto kFiles = vfs::files<Object>({
    {.name = "answer", .mode = 0666, .doc = "Answers.", .reply = ask, .usage = "anything"},
    {.name = "ctl", .mode = 0644, .doc = "Commands.", .verbs = kVerbs},
    {.name = "link", .mode = 0777, .doc = "Leads to the value.", .link = link},
    {.name = "message", .mode = 0644, .doc = "Messages.", .read = show, .deliver = deliver},
    {.name = "setting", .mode = 0644, .doc = "A setting.", .read = show, .write = set},
    {.name = "value", .mode = 0444, .doc = "A value.", .read = show},
});
const vfs::Directory<Object> kRoot{"", "A small table.", find_object, kFiles};

class NullServices final : public vfs::Services {
 public:
  Caller identify(const HostCaller& host) override {
    return {.kernel = nullptr, .process = ProcessId{1}, .host = host, .path = {}, .via = {}};
  }
  Result<Caller> ensure_caller(const HostCaller& host) override { return identify(host); }
  void note_error(const Caller&, std::string_view, const Error&) override {}
  Status check_room(bool) override { return ok(); }
  Status record_change(const Caller&, const TreeChange&) override { return ok(); }
  Status record_control(const Caller&, const std::string&, std::string_view) override {
    return ok();
  }
  Status may_change(const Caller&, const std::string&) override { return ok(); }
  std::optional<vfs::FileOwner> owner_of(std::string_view) override { return std::nullopt; }
  Status sync() override { return ok(); }
  void count(std::string_view, std::string_view) override {}
  const Clock& clock() override { return clock_; }
  EventLoop& loop() override { return loop_; }
  WorkerPool& notices() override { return notices_; }

 private:
  SystemClock clock_;
  EventLoop loop_;
  WorkerPool notices_{1};
};

// One session for all inputs: what one leaves open, the next finds.
class Target {
 public:
  Target() : files_({.services = &services_, .root = &kRoot, .trees = {}}) {
    ::signal(SIGPIPE, SIG_IGN);
    int pair[2] = {-1, -1};
    require(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
    socket_ = pair[0];
    fuse::SessionOptions options;
    options.mountpoint = fmt::format("/dev/fd/{}", pair[1]);
    options.threads = 1;
    auto mounted = fuse::Session::mount(files_, services_, options);
    require(mounted.has_value());
    session_ = *std::move(mounted);
    runner_ = std::thread([this] { static_cast<void>(session_->run()); });
    fuse_init_in in{};
    in.major = FUSE_KERNEL_VERSION;
    in.minor = FUSE_KERNEL_MINOR_VERSION;
    ask(FUSE_INIT, 0, {reinterpret_cast<const char*>(&in), sizeof in});
  }
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  void ask(std::uint32_t opcode, std::uint64_t node, std::string_view body) {
    fuse_in_header header{};
    header.len = static_cast<std::uint32_t>(sizeof header + body.size());
    header.opcode = opcode;
    header.unique = number_ += 2;
    header.nodeid = node;
    std::string message(reinterpret_cast<const char*>(&header), sizeof header);
    message += body;
    require(::send(socket_, message.data(), message.size(), 0) ==
            static_cast<ssize_t>(message.size()));
    await(header.unique);
  }

 private:
  static void require(bool condition) {
    if (!condition) std::abort();
  }
  void await(std::uint64_t number) {
    for (;;) {
      pollfd ready{.fd = socket_, .events = POLLIN, .revents = 0};
      require(::poll(&ready, 1, 20'000) == 1);
      const ssize_t size = ::recv(socket_, buffer_.data(), buffer_.size(), 0);
      fuse_out_header header{};
      require(size >= static_cast<ssize_t>(sizeof header));
      std::memcpy(&header, buffer_.data(), sizeof header);
      require(header.len == size && header.error <= 0 && header.error > -512);
      if (header.unique == number) return;
      require(header.unique == 0);  // a notification
    }
  }

  NullServices services_;
  vfs::FileSystem files_;
  std::unique_ptr<fuse::Session> session_;
  std::thread runner_;
  int socket_ = -1;
  std::uint64_t number_ = 0;
  std::string buffer_ = std::string((1U << 20U) + 4096, '\0');
};

// Some requests have no answer, or end a session; the body of others says how long a part of it
// is, which libfuse believes, as it may: they come from a kernel.
bool is_served(std::uint32_t opcode) {
  static const std::set<std::uint32_t> left_out{FUSE_FORGET, FUSE_BATCH_FORGET, FUSE_INTERRUPT,
                                                FUSE_INIT,   FUSE_NOTIFY_REPLY, FUSE_DESTROY};
  return !left_out.contains(opcode);
}

// The true size of what follows, where the body has one.
void keep_sizes_true(std::uint32_t opcode, std::string& body) {
  const auto put = [&](std::size_t place, std::uint32_t value) {
    std::memcpy(body.data() + place, &value, sizeof value);
  };
  if (opcode == FUSE_WRITE) {
    body.resize(std::max(body.size(), sizeof(fuse_write_in)));
    put(offsetof(fuse_write_in, size),
        static_cast<std::uint32_t>(body.size() - sizeof(fuse_write_in)));
  } else if (opcode == FUSE_SETXATTR) {
    put(0, 0);
  }
}

}  // namespace
}  // namespace agentfs

// Three bytes are the operation and the node; the rest is the body.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace agentfs;
  static Target& target = *new Target;  // until the process ends: its threads may outlive main
  if (size < 3 || size > 4096) return 0;
  const std::uint32_t opcode = data[0] % 64;
  const std::uint64_t node = data[1] + (std::uint64_t{data[2]} << 32U);
  if (!is_served(opcode)) return 0;
  std::string body(reinterpret_cast<const char*>(data) + 3, size - 3);
  body.append(128, '\0');  // names end, structs are whole
  keep_sizes_true(opcode, body);
  target.ask(opcode, node, body);
  return 0;
}
