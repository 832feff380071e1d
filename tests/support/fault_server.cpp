// SPDX-License-Identifier: MIT
#include "support/fault_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <stdexcept>

#include "base/text.h"

namespace agentfs::testing {
namespace {

constexpr int kPollMilliseconds = 20;  // how often a thread that waits looks whether it shall stop

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

// True when the descriptor has something to read or has ended, false when the server stops.
bool readable(int fd, const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    pollfd waited{fd, POLLIN | POLLRDHUP, 0};
    if (::poll(&waited, 1, kPollMilliseconds) > 0) return true;
  }
  return false;
}

std::uint16_t bound_port(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

UniqueFd bound_socket() {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = loopback(0);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw std::runtime_error("fault server: no port on loopback");
  }
  return fd;
}

}  // namespace

void Gate::open() {
  {
    const std::lock_guard lock(mutex_);
    open_ = true;
  }
  changed_.notify_all();
}

bool Gate::wait(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  return changed_.wait(lock, stop, [this] { return open_; });
}

std::string Request::header(std::string_view name) const {
  const auto found = std::ranges::find(headers, name, &std::pair<std::string, std::string>::first);
  return found != headers.end() ? found->second : std::string();
}

// One connection: reads requests and answers them until either side has enough.
class FaultServer::Connection {
 public:
  Connection(FaultServer& server, UniqueFd fd, std::stop_token stop)
      : server_(server), fd_(std::move(fd)), stop_(std::move(stop)) {
    const int one = 1;
    ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  }

  void run() {
    while (auto request = read_request()) {
      if (!send(server_.answer(*request))) return;
    }
  }

 private:
  bool receive() {
    std::array<char, 16384> bytes{};
    if (!readable(fd_.get(), stop_)) return false;
    const ssize_t got = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
    if (got <= 0) return false;
    buffer_.append(bytes.data(), static_cast<std::size_t>(got));
    return true;
  }

  std::optional<Request> read_request() {
    std::size_t end = std::string::npos;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!receive()) return std::nullopt;
    }
    Request request;
    const std::string head = buffer_.substr(0, end);
    buffer_.erase(0, end + 4);
    for (const std::string_view line : text::lines(head)) take_line(request, line);
    const auto length = text::number<std::size_t>(request.header("content-length")).value_or(0);
    while (buffer_.size() < length) {
      if (!receive()) return std::nullopt;
    }
    request.body = buffer_.substr(0, length);
    buffer_.erase(0, length);
    request.parsed = json::parse(request.body).value_or(nullptr);
    return request;
  }

  static void take_line(Request& request, std::string_view line) {
    const std::size_t colon = line.find(':');
    if (request.method.empty()) {
      const auto words = text::words(line);
      request.method = words.empty() ? "" : words[0];
      request.target = words.size() < 2 ? "" : words[1];
    } else if (colon != std::string_view::npos) {
      request.headers.emplace_back(text::lower(line.substr(0, colon)),
                                   std::string(text::trim(line.substr(colon + 1))));
    }
  }

  // True where another request may follow.
  bool send(const Response& response) {
    if (response.framing != Response::Framing::raw && !put(head_of(response))) return abandon();
    for (const Response::Piece& piece : response.pieces) {
      if (piece.gate && !pass(*piece.gate)) return false;
      if (!put(framed(response, piece.bytes))) return abandon();
    }
    if (response.end == Response::End::hang) return hang();
    if (response.end == Response::End::reset) return reset();
    if (response.end == Response::End::cut) return false;
    if (response.framing == Response::Framing::chunked) return put("0\r\n\r\n");
    return response.framing == Response::Framing::length;
  }

  static std::string head_of(const Response& response) {
    std::string head = fmt::format("HTTP/1.1 {} Test\r\n", response.status);
    for (const auto& [name, value] : response.headers) {
      head += fmt::format("{}: {}\r\n", name, value);
    }
    if (response.framing == Response::Framing::chunked) head += "Transfer-Encoding: chunked\r\n";
    if (response.framing == Response::Framing::close) head += "Connection: close\r\n";
    if (response.framing == Response::Framing::length) {
      std::size_t size = response.end == Response::End::keep ? 0 : 1;  // more than will come
      for (const Response::Piece& piece : response.pieces) size += piece.bytes.size();
      head += fmt::format("Content-Length: {}\r\n", size);
    }
    return head + "\r\n";
  }

  static std::string framed(const Response& response, const std::string& bytes) {
    if (response.framing != Response::Framing::chunked || bytes.empty()) return bytes;
    return fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
  }

  bool put(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  // Waits at a gate, and notices a client that goes away meanwhile.
  bool pass(Gate& gate) {
    std::stop_source gone;
    const std::stop_callback stopped(stop_, [&gone] { gone.request_stop(); });
    std::atomic<bool> abandoned = false;
    const std::jthread watcher([&](const std::stop_token& over) {
      if (!readable(fd_.get(), over)) return;
      abandoned = true;
      gone.request_stop();
    });
    const bool open = gate.wait(gone.get_token());
    return open && !abandoned ? true : (abandoned ? abandon() : false);
  }

  bool hang() { return readable(fd_.get(), stop_) ? abandon() : false; }

  bool reset() {
    const linger now{1, 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    return false;
  }

  bool abandon() {
    {
      const std::lock_guard lock(server_.mutex_);
      ++server_.abandoned_;
    }
    server_.changed_.notify_all();
    return false;
  }

  FaultServer& server_;
  UniqueFd fd_;
  std::stop_token stop_;
  std::string buffer_;
};

FaultServer::FaultServer(Handler handler) : handler_(std::move(handler)) { listen(); }

FaultServer::FaultServer(std::vector<Response> responses)
    : FaultServer([responses = std::move(responses)](const Request& request) {
        return responses.at(std::min(request.number, responses.size()) - 1);
      }) {}

FaultServer::~FaultServer() {
  acceptor_.request_stop();
  acceptor_.join();
  for (std::jthread& connection : connections_) connection.request_stop();
  connections_.clear();
}

void FaultServer::listen() {
  listener_ = bound_socket();
  port_ = bound_port(listener_.get());
  if (::listen(listener_.get(), 128) != 0) throw std::runtime_error("fault server: cannot listen");
  acceptor_ = std::jthread([this](std::stop_token stop) { accept_all(std::move(stop)); });
}

void FaultServer::accept_all(std::stop_token stop) {
  while (readable(listener_.get(), stop)) {
    const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    connections_.emplace_back([this, fd](std::stop_token over) {
      Connection(*this, UniqueFd(fd), std::move(over)).run();
    });
  }
}

Response FaultServer::answer(const Request& request) {
  Request numbered = request;
  {
    const std::lock_guard lock(mutex_);
    numbered.number = requests_.size() + 1;
    requests_.push_back(numbered);
  }
  changed_.notify_all();
  return handler_(numbered);
}

std::string FaultServer::base_url() const { return fmt::format("http://127.0.0.1:{}/v1", port_); }

std::vector<Request> FaultServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

bool FaultServer::wait_for_requests(std::size_t count, std::chrono::seconds deadline) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, deadline, [&] { return requests_.size() >= count; });
}

bool FaultServer::wait_for_abandoned(std::size_t count, std::chrono::seconds deadline) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, deadline, [&] { return abandoned_ >= count; });
}

std::uint16_t unused_port() {
  const UniqueFd fd = bound_socket();
  return bound_port(fd.get());
}

}  // namespace agentfs::testing
