// SPDX-License-Identifier: MIT
#include "backends/exec/inside/spec.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace agentfs::exec {
namespace {

std::vector<unsigned> numbers(const std::string& words) {
  std::vector<unsigned> found;
  const char* at = words.c_str();
  for (char* end = nullptr;; at = end) {
    const unsigned long number = std::strtoul(at, &end, 10);
    if (end == at) return found;
    found.push_back(static_cast<unsigned>(number));
  }
}

bool take_overlay_field(OverlaySpec& overlay, Field field, const std::string& value) {
  switch (field) {
    case Field::overlay_inside:
      overlay.inside = value;
      return true;
    case Field::overlay_lower:
      overlay.lower = value;
      return true;
    case Field::overlay_upper:
      overlay.upper = value;
      return true;
    case Field::overlay_work:
      overlay.work = value;
      return true;
    default:
      return false;
  }
}

void take_field(Spec& spec, Field field, const std::string& value) {
  if (take_overlay_field(spec.overlay, field, value)) return;
  switch (field) {
    case Field::command:
      spec.command = value;
      break;
    case Field::directory:
      spec.directory = value;
      break;
    case Field::environment:
      spec.environment.push_back(value);
      break;
    case Field::writable:
      spec.writable.push_back(value);
      break;
    case Field::network:
      spec.network = true;
      break;
    case Field::address_space:
      spec.address_space = std::atoll(value.c_str());
      break;
    case Field::processes:
      spec.processes = std::atoll(value.c_str());
      break;
    case Field::file_bytes:
      spec.file_bytes = std::atoll(value.c_str());
      break;
    case Field::user:
      spec.user = numbers(value);
      break;
    case Field::group_threads:
      spec.thread_groups.push_back(value);
      break;
    case Field::group_unified:
      spec.unified_group = value;
      break;
    case Field::group_setting:
      spec.group_settings.push_back(value);
      break;
    default:
      break;
  }
}

// By pread: the descriptor is read twice, before bubblewrap and inside it.
std::string read_all(int fd) {
  std::string bytes;
  char chunk[16384];
  for (;;) {
    const ssize_t got = ::pread(fd, chunk, sizeof chunk, static_cast<off_t>(bytes.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_with("specification");
    if (got == 0) return bytes;
    bytes.append(chunk, static_cast<std::size_t>(got));
  }
}

}  // namespace

Spec read_spec() {
  const std::string bytes = read_all(kSpecFd);
  Spec spec;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t end = bytes.find('\0', at);
    if (end == std::string::npos) fail_with("specification: cut short", EBADMSG);
    take_field(spec, static_cast<Field>(bytes[at]), bytes.substr(at + 1, end - at - 1));
    at = end + 1;
  }
  return spec;
}

void send_message(Message kind, std::string_view text) {
  std::string message(1, static_cast<char>(kind));
  message += text;
  while (::send(kControlFd, message.data(), message.size(), MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
}

void fail_with(const std::string& what, int code) {
  send_message(Message::error, std::to_string(code) + " " + what);
  ::_exit(127);
}

void fail_with(const std::string& what) {
  const int code = errno;
  fail_with(what + ": " + std::strerror(code), code);
}

}  // namespace agentfs::exec
