// SPDX-License-Identifier: MIT
#include "fs/fuse/pending_signals.h"

#include <signal.h>

#include <charconv>
#include <cstdint>

#include "base/file.h"
#include "base/proc_status.h"

namespace agentfs::fuse {
namespace {

constexpr std::uint64_t bit(int signal) { return std::uint64_t{1} << (signal - 1); }
constexpr std::uint64_t kNews = bit(SIGCHLD) | bit(SIGWINCH) | bit(SIGURG) | bit(SIGCONT);

// Hexadecimal; what is none is no signal.
std::uint64_t signals_in(std::string_view status, std::string_view name) {
  const std::string_view word = status_field(status, name);
  std::uint64_t signals = 0;
  (void)std::from_chars(word.data(), word.data() + word.size(), signals, 16);
  return signals;
}

}  // namespace

bool tells_only_news(std::string_view status) {
  const std::uint64_t pending = signals_in(status, "SigPnd") | signals_in(status, "ShdPnd");
  const std::uint64_t seen = pending & ~signals_in(status, "SigBlk");
  return seen != 0 && (seen & ~kNews) == 0;
}

bool is_interrupted_by_news(pid_t thread) {
  if (thread <= 0) return false;
  const auto status = file::read(fmt::format("/proc/{}/status", thread));
  return status && tells_only_news(*status);
}

}  // namespace agentfs::fuse
