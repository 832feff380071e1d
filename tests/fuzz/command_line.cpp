// SPDX-License-Identifier: MIT
// Command lines: any bytes give words within the line, or EINVAL with a sentence.
#include <cstdint>
#include <cstdlib>

#include "fcp/parse.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace agentfs;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto line = fcp::parse_line(text);
  if (!line) {
    require(line.error().code == EINVAL && text::is_utf8(line.error().message));
    return 0;
  }
  require(line->words.size() == line->starts.size());
  for (std::size_t i = 0; i < line->words.size(); ++i) {
    require(line->starts[i] < line->text.size());
    require(i == 0 || line->starts[i - 1] < line->starts[i]);
    require(!line->rest(i).empty());
    static_cast<void>(fcp::key_value(line->words[i]));
    static_cast<void>(fcp::Parser<std::int64_t>::parse({"verb N", line->words[i]}));
    static_cast<void>(fcp::Parser<fcp::Duration>::parse({"verb DUR", line->words[i]}));
  }
  return 0;
}
