// SPDX-License-Identifier: MIT
// The protocol: sending, receiving, matching answers to requests.
#include "wire/wire_kernel.h"

#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstring>

namespace agentfs::test {
namespace {

constexpr auto kPatience = std::chrono::seconds(20);
constexpr std::size_t kLargestMessage = (1U << 20U) + 4096;

}  // namespace

WireKernel::WireKernel(UniqueFd socket)
    : caller{.uid = ::getuid(), .gid = ::getgid(), .pid = ::getpid()},
      socket_(std::move(socket)),
      receiver_([this] { receive(); }) {}

WireKernel::~WireKernel() {
  close();
  receiver_.join();
}

void WireKernel::close() { ::shutdown(socket_.get(), SHUT_RDWR); }

std::uint64_t WireKernel::send(std::uint32_t opcode, std::uint64_t node, std::string_view body) {
  const std::uint64_t number = next_number_ += 2;
  fuse_in_header header{};
  header.len = static_cast<std::uint32_t>(sizeof header + body.size());
  header.opcode = opcode;
  header.unique = number;
  header.nodeid = node;
  header.uid = caller.uid;
  header.gid = caller.gid;
  header.pid = static_cast<std::uint32_t>(caller.pid);
  {
    Lock lock(mutex_);
    asked_.insert(number);
  }
  if (!send_raw(wire_bytes(header) + std::string(body))) {
    Lock lock(mutex_);
    answers_.emplace(number, fail(ENOTCONN, "the session has gone"));
  }
  return number;
}

bool WireKernel::send_raw(std::string_view message) {
  return ::send(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(message.size());
}

Result<std::string> WireKernel::await(std::uint64_t number) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  Lock lock(mutex_);
  while (!answers_.contains(number) && !closed_) {
    if (arrived_.wait_until(lock, deadline) == std::cv_status::timeout) break;
  }
  const auto found = answers_.find(number);
  if (found != answers_.end()) return found->second;
  if (closed_) return fail(ENOTCONN, "the session has gone");
  return fail(ETIMEDOUT, "request {}: no answer", number);
}

bool WireKernel::is_answered(std::uint64_t number) const {
  Lock lock(mutex_);
  return answers_.contains(number);
}

void WireKernel::interrupt(std::uint64_t number) {
  static_cast<void>(send(FUSE_INTERRUPT, 0, wire_bytes(fuse_interrupt_in{number})));
}

std::vector<WireNotification> WireKernel::notifications() const {
  Lock lock(mutex_);
  return notifications_;
}

bool WireKernel::await_notification(int code) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  Lock lock(mutex_);
  for (;;) {
    for (const WireNotification& each : notifications_) {
      if (each.code == code) return true;
    }
    if (arrived_.wait_until(lock, deadline) == std::cv_status::timeout) return false;
  }
}

std::vector<std::string> WireKernel::violations() const {
  Lock lock(mutex_);
  return violations_;
}

void WireKernel::receive() {
  std::string buffer(kLargestMessage, '\0');
  for (;;) {
    const ssize_t size = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    take({buffer.data(), static_cast<std::size_t>(size)});
  }
  Lock lock(mutex_);
  closed_ = true;
  arrived_.notify_all();
}

void WireKernel::take(std::string_view message) {
  fuse_out_header header{};
  Lock lock(mutex_);
  if (message.size() < sizeof header) {
    violations_.push_back(fmt::format("an answer of {} bytes", message.size()));
    return;
  }
  std::memcpy(&header, message.data(), sizeof header);
  const std::string_view body = message.substr(sizeof header);
  if (header.len != message.size()) {
    violations_.push_back(
        fmt::format("{}: length {} in {} bytes", header.unique, header.len, message.size()));
  }
  if (header.unique == 0) {
    notifications_.push_back({header.error, std::string(body)});
  } else if (!asked_.contains(header.unique)) {
    violations_.push_back(fmt::format("{}: answered, never asked", header.unique));
  } else if (answers_.contains(header.unique)) {
    violations_.push_back(fmt::format("{}: answered twice", header.unique));
  } else if (header.error > 0 || header.error <= -512) {
    violations_.push_back(fmt::format("{}: error {}", header.unique, header.error));
  } else if (header.error < 0) {
    answers_.emplace(header.unique, fail(-header.error, "{}", errno_name(-header.error)));
  } else {
    answers_.emplace(header.unique, std::string(body));
  }
  arrived_.notify_all();
}

}  // namespace agentfs::test
