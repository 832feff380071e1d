// SPDX-License-Identifier: MIT
#include "backends/http/secret.h"

#include <algorithm>
#include <cstdlib>

#include "base/file.h"
#include "base/text.h"

namespace agentfs::http {
namespace {

constexpr std::string_view kRedacted = "[redacted]";
// Shorter keys are placeholders such as "x"; to hide them would only garble the sentence.
constexpr std::size_t kShortest = 4;

Result<std::string> read_key(const ModelSettings& settings) {
  if (!settings.secret_environment.empty()) {
    const char* value = ::getenv(settings.secret_environment.c_str());
    if (value != nullptr && *value != '\0') return value;
    if (settings.secret_file.empty()) {
      return fail(EINVAL,
                  "no key: the daemon's environment has no variable {}; set it before the "
                  "mount, or name a file with the key",
                  text::shown(settings.secret_environment));
    }
  }
  if (settings.secret_file.empty()) return "";
  auto bytes = file::read(settings.secret_file);
  if (!bytes) {
    return fail(EINVAL, "no key: {}; a readable file with nothing but the key would do",
                bytes.error().message);
  }
  return *std::move(bytes);
}

}  // namespace

Result<Secret> Secret::read(const ModelSettings& settings) {
  const std::string bytes = TRY(read_key(settings));
  const std::string_view key = text::trim(bytes);
  const bool printable = std::ranges::all_of(key, [](char c) { return c > 0x20 && c < 0x7f; });
  if (!printable) {
    return fail(EINVAL,
                "the key holds blanks, line ends or other bytes that a header cannot carry; "
                "one line of printable ASCII would do");
  }
  return Secret(std::string(key));
}

std::string Secret::redacted(std::string_view text) const {
  if (key_.size() < kShortest) return std::string(text);
  std::string out;
  for (std::size_t at = text.find(key_); at != std::string_view::npos; at = text.find(key_)) {
    out.append(text.substr(0, at)).append(kRedacted);
    text.remove_prefix(at + key_.size());
  }
  for (std::size_t size = std::min(key_.size() - 1, text.size()); size >= kShortest; --size) {
    if (!text.ends_with(std::string_view(key_).substr(0, size))) continue;
    text.remove_suffix(size);
    return out.append(text).append(kRedacted);
  }
  return out.append(text);
}

}  // namespace agentfs::http
