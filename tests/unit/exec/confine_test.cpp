// SPDX-License-Identifier: MIT
// What a command in the sandbox cannot see, reach or do.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "base/file.h"
#include "harness.h"

namespace agentfs {
namespace {

using Catch::Matchers::has;

// The errno of a raw system call made inside, as text; "0" where it succeeded.
std::string errno_of(Harness& harness, const std::string& arguments) {
  return harness.output("perl -e '$r = syscall(" + arguments + "); print $r == -1 ? $!+0 : 0'");
}

TEST_CASE("the host's files are not to be seen", "[ordinary]") {
  NEEDS_SANDBOX();
  Harness harness;
  const std::string seen =
      harness.output("ls -A / /etc /run 2>&1; ls -d /root /home /var /sys 2>&1");
  CHECK_THAT(seen, !has("shadow") && !has("sudoers") && !has("machine-id") && !has("ssh"));
  CHECK_THAT(seen, has("'/root': No such file") && has("'/home': No such file"));
  CHECK_THAT(seen, has("passwd"));
  CHECK(harness.reply("cat /etc/ssl/private/* /etc/resolv.conf").exit_code != 0);
  CHECK(harness.output("hostname 2>/dev/null || cat /proc/sys/kernel/hostname") == "agentfs\n");
}

TEST_CASE("writing works in the binds and in a private /tmp, and nowhere else", "[ordinary]") {
  NEEDS_SANDBOX();
  Harness harness;
  CHECK(harness
            .reply("mkdir a b && echo x >a/f && mv a/f b/g && ln b/g a/h && rm -r a b && "
                   "echo y >kept && touch /tmp/t /dev/shm/s && echo z >/dev/null")
            .exit_code == 0);
  CHECK(file::read(harness.directory + "/kept") == "y\n");
  CHECK(harness.output("ls -A /tmp") == "");
  for (const char* path : {"/x", "/usr/x", "/etc/x", "/dev/x", "/run/agentfs/x", "/workspaces/x",
                           "/proc/sys/kernel/hostname", "/proc/sysrq-trigger"}) {
    INFO(path);
    CHECK(harness.reply(fmt::format("echo x >{}", path)).exit_code != 0);
  }
  CHECK(harness.reply("rm -f /run/agentfs/sandbox").exit_code != 0);
}

TEST_CASE("a second bind is seen, and only as far as it was given", "[ordinary]") {
  NEEDS_SANDBOX();
  Harness harness;
  std::filesystem::create_directories(harness.directory + "/in/home");
  std::filesystem::create_directories(harness.directory + "/out");
  ExecRequest request = harness.request("echo 1 >/home/ann/f; ls ..; echo 2 >../../out/f");
  request.binds = {{harness.directory + "/in", "/workspaces/site"},
                   {harness.directory + "/in/home", "/home/ann"}};
  const ExecReply reply = harness.reply(request);
  CHECK(reply.exit_code != 0);
  CHECK(file::read(harness.directory + "/in/home/f") == "1\n");
  CHECK_FALSE(file::exists(harness.directory + "/out/f"));
}

TEST_CASE("no other process is to be seen or killed", "[ordinary]") {
  NEEDS_SANDBOX();
  Harness harness;
  const std::string count = harness.output("ls -d /proc/[0-9]* | wc -l");
  CHECK(std::atoi(count.c_str()) <= 4);  // the first process, sh, ls and wc
  CHECK(harness.output("cat /proc/1/comm") == "sandbox\n");
  CHECK(harness.output("readlink /proc/1/fd/0 /proc/1/fd/3") == "");
  CHECK(harness.reply("exec 9<>/proc/1/fd/3").exit_code != 0);
  CHECK(harness.reply("cat /proc/1/mem").exit_code != 0);
}

TEST_CASE("kill -9 -1 ends at the sandbox's walls", "[ordinary]") {
  NEEDS_SANDBOX();
  Harness harness;
  // Twice made sure that it is the sandbox that would be killed.
  REQUIRE(harness.output("cat /proc/1/comm") == "sandbox\n");
  const ExecReply reply = harness.reply(
      "[ $$ -le 8 ] && [ \"$(cat /proc/1/comm)\" = sandbox ] || exit 99\n"
      "sleep 1000 & kill -9 -1; echo survived");
  REQUIRE(reply.exit_code != 99);
  CHECK(reply.ended_by.empty());
  CHECK(harness.output("echo fine") == "fine\n");
}

TEST_CASE("capabilities, namespaces, mounts and tracing are out of reach", "[ordinary]") {
  NEEDS_SANDBOX();
  Harness harness;
  CHECK_THAT(harness.output("grep CapEff /proc/self/status"), has("0000000000000000"));
  CHECK_THAT(harness.output("grep NoNewPrivs /proc/self/status"), has("1"));
  CHECK(harness.reply("unshare -U true").exit_code != 0);
  CHECK(harness.reply("mount -t tmpfs none /tmp").exit_code != 0);
  const std::string refused = std::to_string(EPERM);
  const auto call = [](long number, const char* arguments) {
    return fmt::format("{}, {}", number, arguments);
  };
  constexpr int kNewUser = 0x10000000;
  CHECK(errno_of(harness, call(SYS_unshare, "0")) == refused);
  CHECK(errno_of(harness, call(SYS_clone, fmt::format("{}|17, 0, 0, 0, 0", kNewUser).c_str())) ==
        refused);
  CHECK(errno_of(harness, call(SYS_clone3, "0, 0")) == std::to_string(ENOSYS));
  CHECK(errno_of(harness, call(SYS_ptrace, "0, 0, 0, 0")) == refused);
  CHECK(errno_of(harness, call(SYS_process_vm_readv, "1, 0, 0, 0, 0, 0")) == refused);
  CHECK(errno_of(harness, call(SYS_mount, "0, 0, 0, 0, 0")) == refused);
  CHECK(errno_of(harness, call(SYS_chroot, "0")) == refused);
  CHECK(errno_of(harness, call(SYS_bpf, "0, 0, 0")) == refused);
  CHECK(errno_of(harness, call(SYS_io_uring_setup, "1, 0")) == refused);
  CHECK(errno_of(harness, call(SYS_keyctl, "0, 0, 0, 0, 0")) == refused);
  CHECK(errno_of(harness, call(SYS_userfaultfd, "0")) == refused);
  CHECK(errno_of(harness, call(SYS_open_tree, "0, 0, 0")) == refused);
  CHECK(errno_of(harness, call(SYS_personality, "0x0040000")) == refused);
  CHECK(errno_of(harness, call(SYS_personality, "0xffffffff")) == "0");
  CHECK(errno_of(harness, call(SYS_ioctl, "0, 0x5412, 0")) == refused);  // TIOCSTI
}

TEST_CASE("socket families but the plain ones are refused", "[ordinary]") {
  NEEDS_SANDBOX();
  Harness harness;
  const std::string refused = std::to_string(EPERM);
  const auto socket_errno = [&harness](long long family, int type, int protocol) {
    return errno_of(harness, fmt::format("{}, {}, {}, {}", SYS_socket, family, type, protocol));
  };
  CHECK(socket_errno(AF_UNIX, SOCK_STREAM, 0) == "0");
  CHECK(socket_errno(AF_INET, SOCK_STREAM, 0) == "0");
  CHECK(socket_errno(AF_INET6, SOCK_DGRAM, 0) == "0");
  CHECK(socket_errno(AF_NETLINK, SOCK_RAW, 0) == "0");
  CHECK(socket_errno(AF_NETLINK, SOCK_RAW, 12) == refused);  // netfilter
  CHECK(socket_errno(AF_PACKET, SOCK_RAW, 0) == refused);
  CHECK(socket_errno(AF_VSOCK, SOCK_STREAM, 0) == refused);
  CHECK(socket_errno(AF_ALG, SOCK_SEQPACKET, 0) == refused);
  CHECK(socket_errno((1LL << 32) | AF_VSOCK, SOCK_STREAM, 0) == refused);
}

// A listening socket on loopback, whose port a command may or may not reach.
struct Listener {
  Listener() : fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(::bind(fd.get(), generic, size) == 0);
    REQUIRE(::listen(fd.get(), 8) == 0);
    REQUIRE(::getsockname(fd.get(), generic, &size) == 0);
    port = ntohs(address.sin_port);
  }
  UniqueFd fd;
  int port = 0;
};

TEST_CASE("the network is there only where it was granted", "[ordinary]") {
  NEEDS_SANDBOX();
  Harness harness;
  const Listener listener;
  const std::string connect = fmt::format(
      "perl -MSocket -e 'socket(S, AF_INET, SOCK_STREAM, 0) or die; "
      "connect(S, pack_sockaddr_in({}, INADDR_LOOPBACK)) or die $!; print qq(in\\n)' 2>&1",
      listener.port);
  CHECK(harness.reply(connect).exit_code != 0);
  CHECK(harness.output("ls /sys/class/net 2>/dev/null; grep -c : /proc/net/dev") == "1\n");
  ExecRequest granted = harness.request(connect);
  granted.network = true;
  CHECK(harness.reply(granted).output == "in\n");
}

TEST_CASE("abstract sockets of the host stay out of reach, with the network too", "[ordinary]") {
  NEEDS_SANDBOX();
  Harness harness;
  const UniqueFd listening(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = fmt::format("agentfs-test-{}", ::getpid());
  name.copy(address.sun_path + 1, sizeof address.sun_path - 1);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  REQUIRE(::bind(listening.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(::listen(listening.get(), 1) == 0);
  ExecRequest request =
      harness.request(fmt::format("perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0) or die; "
                                  "connect(S, pack(q(S a*), AF_UNIX, qq(\\0{})) ) or exit 3'",
                                  name));
  for (const bool network : {false, true}) {
    request.network = network;
    if (network && probe_sandbox(kProgram).checks[3].text < "version 6") continue;
    CHECK(harness.reply(request).exit_code == 3);
  }
}

// A build below a directory that is closed to others.
bool others_reach(const std::string& program) {
  constexpr const char* kBecome = "setpriv --reuid=65534 --regid=65534 --clear-groups";
  return std::system(fmt::format("{} test -x {}", kBecome, program).c_str()) == 0;
}

// Runs these tests once more as a user without any rights, in another process.
TEST_CASE("all of it holds for an ordinary user's daemon") {
  if (::getuid() != 0) return;
  NEEDS_SANDBOX();
  Harness harness;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe");
  constexpr const char* kBecome = "setpriv --reuid=65534 --regid=65534 --clear-groups";
  if (harness.reply("true").exit_code != 0 || !others_reach(self)) {
    WARN("SKIPPED: an ordinary user cannot reach " << self);
    return;
  }
  ExecRequest request = harness.request(fmt::format("{} {} '[ordinary]' 2>&1", kBecome, self));
  request.sandbox = false;
  request.cwd = "/";
  request.limits.timeout_ms = 250'000;
  request.limits.processes = 1000;
  request.limits.memory_bytes = std::int64_t{8} << 30;
  const ExecReply reply = harness.reply(request);
  INFO(reply.output);
  CHECK(reply.exit_code == 0);
}

TEST_CASE("a command has its user's rights and no others") {
  NEEDS_SANDBOX();
  Harness harness;
  ExecRequest request = harness.request("id -u; id -G; echo lost > closed; echo made > file");
  if (::geteuid() != 0) {
    request.user = ExecUser{::geteuid() + 1, ::getegid(), {}};
    const auto refused = harness.start(std::move(request)).get();
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == EPERM);
    CHECK_THAT(refused.error().message, has("cannot run it as uid"));
    return;
  }
  if (!others_reach(kProgram)) {
    WARN("SKIPPED: an ordinary user cannot reach " << kProgram);
    return;
  }
  constexpr uid_t kUser = 54'321;
  constexpr gid_t kGroup = 54'322;
  REQUIRE(file::replace(harness.directory + "/closed", "kept\n", 0644));
  REQUIRE(::chown(harness.directory.c_str(), 0, kGroup) == 0);
  REQUIRE(::chmod(harness.directory.c_str(), 0775) == 0);
  for (const bool sandbox : {true, false}) {
    request.user = ExecUser{kUser, kUser, {kGroup}};
    request.sandbox = sandbox;
    if (!sandbox) request.cwd = harness.directory;
    const ExecReply reply = harness.reply(request);
    INFO(reply.output);
    CHECK_THAT(reply.output, has("54321\n54321"));
    CHECK_THAT(reply.output, has("denied"));
    CHECK(*file::read(harness.directory + "/closed") == "kept\n");
    struct stat made{};
    REQUIRE(::stat((harness.directory + "/file").c_str(), &made) == 0);
    CHECK(made.st_uid == kUser);
    REQUIRE(::unlink((harness.directory + "/file").c_str()) == 0);
  }
}

TEST_CASE("a command without a sandbox cannot end its supervisor where its user is another") {
  Harness harness;
  if (::geteuid() != 0) {
    WARN("SKIPPED: only a daemon of root runs commands as others");
    return;
  }
  const std::string tries =
      "for signal in KILL STOP TERM; do kill -$signal $PPID 2>/dev/null && echo reached; done; "
      "cat /proc/$PPID/environ >/dev/null 2>&1 && echo read; "
      "setsid sleep 1000 & grep -c . /proc/$PPID/status >/dev/null && echo there";
  ExecRequest request = harness.request(tries);
  request.user = ExecUser{54'321, 54'321, {}};
  request.sandbox = false;
  request.cwd = "/";
  const ExecReply reply = harness.reply(request);
  CHECK(reply.output == "there\n");
  CHECK(reply.exit_code == 0);
  CHECK(eventually([] { return !has_children(); }));
}

TEST_CASE("a command without a sandbox starts where its user may go and nowhere else") {
  Harness harness;
  ExecRequest request = harness.request("pwd");
  request.sandbox = false;
  request.cwd = harness.directory + "/missing";
  const auto missing = harness.start(request).get();
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == ENOENT);
  if (::geteuid() != 0) return;
  request.cwd = harness.directory;  // 0700
  request.user = ExecUser{54'321, 54'321, {}};
  REQUIRE(::chmod(harness.directory.c_str(), 0700) == 0);
  const auto closed = harness.start(request).get();
  REQUIRE_FALSE(closed);
  CHECK(closed.error().code == EACCES);
  CHECK_THAT(closed.error().message, has("cannot be entered"));
}

}  // namespace
}  // namespace agentfs
