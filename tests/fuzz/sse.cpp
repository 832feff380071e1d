// SPDX-License-Identifier: MIT
// The events of a stream do not depend on where it is cut.
#include <cstdint>
#include <cstdlib>
#include <utility>
#include <vector>

#include "backends/http/sse_parser.h"

namespace {

using Events = std::vector<std::pair<std::string, std::string>>;

bool feed(agentfs::http::SseParser& parser, std::string_view piece, Events& events) {
  return parser
      .feed(piece,
            [&](const agentfs::http::SseEvent& event) {
              events.emplace_back(event.type, event.data);
              return true;
            })
      .has_value();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t step = data[0] % 7u + 1;
  const std::string_view stream(reinterpret_cast<const char*>(data) + 1, size - 1);
  Events whole;
  Events cut;
  agentfs::http::SseParser first;
  agentfs::http::SseParser second;
  bool good = feed(first, stream, whole);
  for (std::size_t at = 0; at < stream.size(); at += step) {
    good = feed(second, stream.substr(at, step), cut) && good;
  }
  if (!good || whole != cut) std::abort();
  return 0;
}
