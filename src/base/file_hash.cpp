// SPDX-License-Identifier: MIT
#include "base/file_hash.h"

#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <vector>

#include "base/text.h"

namespace agentfs::file {

Result<std::string> blake2b(int fd, const std::function<bool()>& is_unwanted) {
  constexpr std::size_t kPiece = std::size_t{1} << 18U;
  std::array<unsigned char, 32> digest{};
  crypto_generichash_state state{};
  ::crypto_generichash_init(&state, nullptr, 0, digest.size());
  struct stat its{};
  const bool is_small = ::fstat(fd, &its) == 0 && its.st_size < static_cast<off_t>(kPiece);
  std::vector<unsigned char> piece(is_small ? static_cast<std::size_t>(its.st_size) + 1 : kPiece);
  for (off_t offset = 0;;) {
    const ssize_t got = ::pread(fd, piece.data(), piece.size(), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("read");
    if (got == 0) break;
    if (is_unwanted && is_unwanted()) return fail(EINTR, "read: nobody waits for it any more");
    ::crypto_generichash_update(&state, piece.data(), static_cast<unsigned long long>(got));
    offset += got;
  }
  ::crypto_generichash_final(&state, digest.data(), digest.size());
  return text::hex({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

}  // namespace agentfs::file
