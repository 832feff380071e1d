// SPDX-License-Identifier: MIT
// Hashes, signatures and random bytes, by libsodium.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace agentfs {

// BLAKE2b with a 256-bit digest (RFC 7693), as 64 hex digits.
std::string blake2b(std::string_view bytes);

// Unpredictable bytes from the kernel.
std::string random_bytes(std::size_t count);

// FNV-1a, 64 bit: for inode numbers and tables, not against an adversary.
constexpr std::uint64_t fnv1a(std::string_view bytes, std::uint64_t seed = 0xcbf29ce484222325u) {
  for (const char c : bytes) seed = (seed ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return seed;
}

// An Ed25519 key pair (RFC 8032). Threads: all, after it was made.
class SigningKey {
 public:
  // Reads the key from a file of mode 0600; makes one, durably, where there is none. EBADMSG where
  // the file holds no key, or a damaged one.
  static Result<SigningKey> ensure(const std::string& path);
  // The text of a file in which one bit was flipped, as it was: its two halves prove that. None
  // where more is wrong.
  static std::optional<std::string> mended(std::string_view stored);
  static SigningKey make();                                  // a new one, in memory only
  std::string sign(std::string_view message) const;          // 128 hex digits
  const std::string& public_key() const { return public_; }  // 64 hex digits

 private:
  SigningKey() = default;
  static Result<SigningKey> parse(std::string_view stored);
  std::string stored() const;  // the text of its file
  std::string secret_;
  std::string public_;
};

bool signature_is_good(std::string_view public_key, std::string_view message,
                       std::string_view signature);

}  // namespace agentfs
