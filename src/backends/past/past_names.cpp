// SPDX-License-Identifier: MIT
#include "backends/past/past_names.h"

#include <algorithm>

#include "base/text.h"

namespace agentfs {
namespace {

constexpr std::size_t kLongest = 220;  // bytes of an encoded path: names have 255

std::string encoded(std::string_view path) {
  std::string name;
  for (const char c : path) {
    if (c == '/') {
      name += "%2F";
    } else if (c == '%') {
      name += "%25";
    } else {
      name += c;
    }
  }
  return name;
}

std::string decoded(std::string_view name) {
  std::string path;
  while (!name.empty()) {
    const bool is_slash = name.starts_with("%2F");
    const bool is_percent = name.starts_with("%25");
    path += is_slash ? '/' : is_percent ? '%' : name[0];
    name.remove_prefix(is_slash || is_percent ? 3 : 1);
  }
  return path;
}

}  // namespace

// Encoded, '/' and '%' are three bytes.
bool fits_a_name(std::string_view path) {
  const auto grown = std::ranges::count_if(path, [](char c) { return c == '/' || c == '%'; });
  return path.size() + 2 * static_cast<std::size_t>(grown) <= kLongest;
}

std::string file_name(const PastName& name) {
  std::string path = encoded(name.path);
  const bool fits = fits_a_name(name.path);
  if (!fits) {
    path.resize(kLongest);
    // No half of an escape at the end.
    if (const auto last = path.rfind('%'); last != std::string::npos && last + 3 > path.size()) {
      path.resize(last);
    }
  }
  return fmt::format("{:06}{}{}", name.number, fits && name.whole ? '.' : '~', path);
}

std::optional<PastName> parse_name(std::string_view name) {
  const auto end = name.find_first_of(".~");
  if (end == std::string_view::npos) return std::nullopt;
  const auto number = text::number<std::uint64_t>(name.substr(0, end));
  if (!number) return std::nullopt;
  return PastName{*number, decoded(name.substr(end + 1)), name[end] == '.'};
}

}  // namespace agentfs
