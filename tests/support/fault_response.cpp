// SPDX-License-Identifier: MIT
#include "support/fault_server.h"

namespace agentfs::testing {

Response Response::json(const agentfs::json::Value& body, int status) {
  Response response;
  response.status = status;
  response.headers = {{"Content-Type", "application/json"}};
  response.pieces = {{agentfs::json::dump(body)}};
  return response;
}

Response Response::stream(std::string body) { return stream_pieces({{std::move(body)}}); }

Response Response::stream_split(std::string_view body) {
  std::vector<Piece> pieces;
  for (const char c : body) pieces.push_back({std::string(1, c)});
  return stream_pieces(std::move(pieces));
}

Response Response::stream_pieces(std::vector<Piece> pieces) {
  Response response;
  response.headers = {{"Content-Type", "text/event-stream; charset=utf-8"}};
  response.framing = Framing::chunked;
  response.pieces = std::move(pieces);
  return response;
}

Response Response::error(int status, std::string_view message) {
  const agentfs::json::Object error = {{"message", message}, {"type", "error"}, {"code", nullptr}};
  return json(agentfs::json::Object{{"error", error}}, status);
}

Response Response::never() { return garbage("").ending(End::hang); }

Response Response::garbage(std::string bytes) {
  Response response;
  response.framing = Framing::raw;
  response.end = End::cut;
  if (!bytes.empty()) response.pieces = {{std::move(bytes)}};
  return response;
}

Response&& Response::with(std::string name, std::string value) && {
  headers.emplace_back(std::move(name), std::move(value));
  return std::move(*this);
}

Response&& Response::ending(End how) && {
  end = how;
  return std::move(*this);
}

}  // namespace agentfs::testing
