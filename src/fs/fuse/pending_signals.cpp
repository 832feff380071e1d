// SPDX-License-Identifier: MIT
#include "fs/fuse/pending_signals.h"

#include <signal.h>

#include <charconv>
#include <cstdint>

#include "base/file.h"
#include "base/text.h"

namespace agentfs::fuse {
namespace {

constexpr std::uint64_t bit(int signal) { return std::uint64_t{1} << (signal - 1); }
constexpr std::uint64_t kNews = bit(SIGCHLD) | bit(SIGWINCH) | bit(SIGURG) | bit(SIGCONT);

// Hexadecimal; what is none is no signal.
std::uint64_t set_of(std::string_view word) {
  std::uint64_t signals = 0;
  (void)std::from_chars(word.data(), word.data() + word.size(), signals, 16);
  return signals;
}

}  // namespace

bool tells_only_news(std::string_view status) {
  std::uint64_t pending = 0;
  std::uint64_t blocked = 0;
  for (const std::string_view line : text::lines(status)) {
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view name = line.substr(0, colon);
    const std::uint64_t signals = set_of(text::trim(line.substr(colon + 1)));
    if (name == "SigPnd" || name == "ShdPnd") pending |= signals;
    if (name == "SigBlk") blocked |= signals;
  }
  const std::uint64_t seen = pending & ~blocked;
  return seen != 0 && (seen & ~kNews) == 0;
}

bool is_interrupted_by_news(pid_t thread) {
  if (thread <= 0) return false;
  const auto status = file::read(fmt::format("/proc/{}/status", thread));
  return status && tells_only_news(*status);
}

}  // namespace agentfs::fuse
