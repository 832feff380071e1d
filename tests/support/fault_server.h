// SPDX-License-Identifier: MIT
// A real HTTP/1.1 server on loopback that does what a test tells it, also what no server should.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/json.h"

namespace agentfs::testing {

// Keeps a response from going on until the test opens it. Threads: all.
class Gate {
 public:
  void open();
  bool wait(std::stop_token stop);  // false: the server stops

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool open_ = false;
};

struct Request {
  std::size_t number = 0;  // from 1, over all connections
  std::string method;
  std::string target;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;
  json::Value parsed;  // of the body; null where it is no JSON

  std::string header(std::string_view name) const;  // "" where it is not there
};

struct Response {
  enum class Framing {
    length,   // Content-Length
    chunked,  // a chunk a piece
    close,    // the end of the connection ends the body
    raw,      // the pieces are all that is sent: no status, no headers
  };
  enum class End {
    keep,   // ended properly; the connection stays
    cut,    // closed after the last piece, whatever the framing promised
    reset,  // as cut, by RST
    hang,   // nothing more is sent until the client closes or the server stops
  };
  struct Piece {
    std::string bytes;
    std::shared_ptr<Gate> gate{};  // opened before the piece is sent
  };

  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::vector<Piece> pieces;
  Framing framing = Framing::length;
  End end = End::keep;

  static Response json(const agentfs::json::Value& body, int status = 200);
  static Response stream(std::string body);             // an event stream in one piece
  static Response stream_split(std::string_view body);  // in pieces of one byte
  static Response stream_pieces(std::vector<Piece> pieces);
  static Response error(int status, std::string_view message);  // as OpenAI words it
  static Response never();                     // takes the request, answers nothing
  static Response garbage(std::string bytes);  // no HTTP

  Response&& with(std::string name, std::string value) &&;
  Response&& ending(End how) &&;
};

// Listens on 127.0.0.1, a port of its own; a thread accepts and each connection has one. Answers
// with the handler, or with the listed responses in turn (the last one again and again). Threads:
// all. The destructor closes every connection and joins.
class FaultServer {
 public:
  using Handler = std::function<Response(const Request&)>;

  explicit FaultServer(Handler handler);
  explicit FaultServer(std::vector<Response> responses);
  ~FaultServer();
  FaultServer(const FaultServer&) = delete;
  FaultServer& operator=(const FaultServer&) = delete;

  std::uint16_t port() const { return port_; }
  std::string base_url() const;  // "http://127.0.0.1:PORT/v1"
  std::vector<Request> requests() const;
  // Wait for it; false where it has not come by the deadline.
  bool wait_for_requests(std::size_t count, std::chrono::seconds deadline = kPatience) const;
  // Connections that the client closed while the server still had something to say.
  bool wait_for_abandoned(std::size_t count, std::chrono::seconds deadline = kPatience) const;

  static constexpr std::chrono::seconds kPatience{20};

 private:
  class Connection;

  void listen();
  void accept_all(std::stop_token stop);
  Response answer(const Request& request);

  Handler handler_;
  UniqueFd listener_;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  mutable std::condition_variable_any changed_;
  std::vector<Request> requests_;
  std::size_t abandoned_ = 0;
  std::deque<std::jthread> connections_;
  std::jthread acceptor_;  // last: stops before what it uses goes
};

// A port of 127.0.0.1 at which nobody listens.
std::uint16_t unused_port();

}  // namespace agentfs::testing
