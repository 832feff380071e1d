// SPDX-License-Identifier: MIT
#include "base/hash.h"

#include <sodium.h>

#include <algorithm>
#include <array>

#include "base/file.h"
#include "base/text.h"

namespace agentfs {
namespace {

const unsigned char* raw(std::string_view s) {
  return reinterpret_cast<const unsigned char*>(s.data());
}

template <std::size_t N>
std::string_view view(const std::array<unsigned char, N>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void ensure_sodium() {
  static const int ready = ::sodium_init();
  (void)ready;
}

}  // namespace

std::string blake2b(std::string_view bytes) {
  std::array<unsigned char, 32> digest{};
  ::crypto_generichash(digest.data(), digest.size(), raw(bytes), bytes.size(), nullptr, 0);
  return text::hex(view(digest));
}

std::string random_bytes(std::size_t count) {
  ensure_sodium();
  std::string bytes(count, '\0');
  ::randombytes_buf(bytes.data(), bytes.size());
  return bytes;
}

SigningKey SigningKey::make() {
  ensure_sodium();
  std::array<unsigned char, crypto_sign_SECRETKEYBYTES> secret{};
  std::array<unsigned char, crypto_sign_PUBLICKEYBYTES> open{};
  ::crypto_sign_keypair(open.data(), secret.data());
  SigningKey key;
  key.secret_ = view(secret);
  key.public_ = text::hex(view(open));
  return key;
}

Result<SigningKey> SigningKey::parse(std::string_view stored) {
  std::array<unsigned char, crypto_sign_SECRETKEYBYTES> secret{};
  std::array<unsigned char, crypto_sign_PUBLICKEYBYTES> open{};
  const auto bytes = text::unhex(text::trim(stored));
  if (!bytes || bytes->size() != secret.size()) {
    return fail(EBADMSG, "holds no Ed25519 key ({} bytes); {} hex digits would", stored.size(),
                secret.size() * 2);
  }
  // The stored half is made from the other: a flipped bit shows, and signs nothing.
  std::array<unsigned char, crypto_sign_SEEDBYTES> seed{};
  std::copy_n(bytes->begin(), seed.size(), seed.begin());
  ::crypto_sign_seed_keypair(open.data(), secret.data(), seed.data());
  if (!std::equal(secret.begin(), secret.end(), raw(*bytes))) {
    return fail(EBADMSG, "the two halves of the Ed25519 key do not belong together; damaged");
  }
  SigningKey key;
  key.secret_ = view(secret);
  key.public_ = text::hex(view(open));
  return key;
}

Result<SigningKey> SigningKey::ensure(const std::string& path) {
  ensure_sodium();
  if (file::exists(path)) {
    auto key = parse(TRY(file::read(path)));
    if (!key) key.error().message = fmt::format("{}: {}", path, key.error().message);
    return key;
  }
  SigningKey key = make();
  TRY(file::replace(path, key.stored(), 0600));
  return key;
}

std::string SigningKey::stored() const { return text::hex(secret_) + "\n"; }

std::optional<std::string> SigningKey::mended(std::string_view stored) {
  ensure_sodium();
  if (stored.size() > 2 * crypto_sign_SECRETKEYBYTES + 1) return std::nullopt;
  std::string text(stored);
  for (char& c : text) {
    const char damaged = c;
    for (unsigned bit = 0; bit < 8; ++bit) {
      c = static_cast<char>(static_cast<unsigned char>(damaged) ^ (1U << bit));
      if (const auto key = parse(text)) return key->stored();
    }
    c = damaged;
  }
  return std::nullopt;
}

std::string SigningKey::sign(std::string_view message) const {
  std::array<unsigned char, crypto_sign_BYTES> signature{};
  ::crypto_sign_detached(signature.data(), nullptr, raw(message), message.size(), raw(secret_));
  return text::hex(view(signature));
}

bool signature_is_good(std::string_view public_key, std::string_view message,
                       std::string_view signature) {
  const auto key = text::unhex(public_key);
  const auto given = text::unhex(signature);
  return key && given && key->size() == crypto_sign_PUBLICKEYBYTES &&
         given->size() == crypto_sign_BYTES &&
         ::crypto_sign_verify_detached(raw(*given), raw(message), message.size(), raw(*key)) == 0;
}

}  // namespace agentfs
