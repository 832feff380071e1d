// SPDX-License-Identifier: MIT
#include "fs/vfs/control_handle.h"

#include "base/text.h"
#include "fs/vfs/written_text.h"

namespace agentfs::vfs {

void ControlHandle::run(Caller author, Lines lines, Completion<std::string> done) {
  done.complete([&]() -> Result<std::string> {
    std::string reply;
    for (const std::string& line : lines) reply += TRY(execute(author, line));
    return reply;
  }());
}

Result<std::string> ControlHandle::execute(const Caller& author, const std::string& line) {
  const RowPlace& place = file().place();
  const bool is_setting = place.info().kind == Kind::setting;
  auto result = [&]() -> Result<std::string> {
    TRY(check_tree());
    const ObjectRef object = TRY(place.held(author));
    TRY(check_text(place.info().name, line));
    if (!is_setting) return place.type->command(place.row, object, author, line);
    TRY(place.type->write(place.row, object, author, line));
    return std::string();
  }();
  if (!is_setting) keep_result(line, result);
  if (!result) return result;
  TRY(record_written(file(), author, line));
  return result;
}

void ControlHandle::keep_result(const std::string& line, const Result<std::string>& result) {
  std::string text = as_comments("last: " + text::shown(line));
  if (!result) {
    text += as_comments(errno_name(result.error().code) + ": " + result.error().message);
  } else {
    text += as_comments(result->empty() ? "ok" : *result);
  }
  file().context().replies.put(slot(), std::move(text));
}

}  // namespace agentfs::vfs
