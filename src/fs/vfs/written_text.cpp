// SPDX-License-Identifier: MIT
#include "fs/vfs/written_text.h"

#include "base/text.h"

namespace agentfs::vfs {

Status check_text(std::string_view what, std::string_view text) {
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    return fail(EINVAL, "{}: byte {} is NUL ({}); text would do", what, nul + 1, text::shown(text));
  }
  if (text::is_utf8(text)) return ok();
  return fail(EINVAL, "{}: not UTF-8 ({}); text in UTF-8 would do", what, text::shown(text));
}

bool is_command(std::string_view line) {
  const std::string_view words = text::trim(line);
  return !words.empty() && words.front() != '#';
}

Status record_written(const RowFile& file, const Caller& author, std::string_view text) {
  constexpr std::size_t kShown = 1024;
  return file.context().services.record_control(author, file.path(), text::prefix(text, kShown));
}

}  // namespace agentfs::vfs
