// SPDX-License-Identifier: MIT
#include "backends/git/guessed_text.h"

#include <cstddef>

namespace agentfs::git {
namespace {

bool is_printed(unsigned char byte) {
  constexpr std::string_view kControls = "\b\t\x1b\f";
  return byte >= ' ' ? byte != 0x7f : kControls.contains(static_cast<char>(byte));
}

}  // namespace

Endings endings_of(std::string_view bytes) {
  constexpr char kEnd = 0x1a;  // of a text of DOS
  Endings endings;
  std::size_t printed = 0;
  std::size_t others = 0;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    const char byte = bytes[at];
    if (byte == '\r' && at + 1 < bytes.size() && bytes[at + 1] == '\n') {
      endings.has_crlf = true;
      ++at;
    } else if (byte == '\r' || byte == '\0') {
      endings.is_binary = true;
    } else if (byte != '\n') {
      ++(is_printed(static_cast<unsigned char>(byte)) ? printed : others);
    }
  }
  if (bytes.ends_with(kEnd)) --others;
  endings.is_binary = endings.is_binary || printed / 128 < others;
  return endings;
}

}  // namespace agentfs::git
