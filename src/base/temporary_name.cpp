// SPDX-License-Identifier: MIT
#include "base/temporary_name.h"

#include "base/hash.h"
#include "base/text.h"

namespace agentfs {
namespace {

constexpr std::string_view kStart = ".agentfs-";
constexpr std::size_t kRandomBytes = 6;

}  // namespace

std::string temporary_name() {
  return fmt::format("{}{}", kStart, text::hex(random_bytes(kRandomBytes)));
}

bool is_temporary_name(std::string_view name) {
  if (!name.starts_with(kStart)) return false;
  const auto bytes = text::unhex(name.substr(kStart.size()));
  return bytes && bytes->size() == kRandomBytes;
}

}  // namespace agentfs
