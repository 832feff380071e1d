// SPDX-License-Identifier: MIT
#include "agents/tools.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "kernel/setting_rows.h"
#include "kernel/syscalls/values.h"

namespace agentfs::agents {
namespace {

constexpr std::array<ToolRow, 8> kTools{{
    {.name = "ctl",
     .syscall = "sys.ctl",
     .doc = "Writes one line to a control file of the system and gives the reply. Read the file "
            "first: it lists the commands it takes."},
    {.name = "delete",
     .syscall = "fs.delete",
     .doc = "Removes a file, or a directory with all in it."},
    {.name = "edit",
     .syscall = "fs.edit",
     .doc = "Replaces an exact piece of a file's text by another. The old text must match to the "
            "byte, white space included, and stand in the file once unless all is true."},
    {.name = "exec",
     .syscall = "shell.exec",
     .doc = "Runs a command line with sh -c in a sandbox and gives its output, then a line with "
            "its exit status. It sees the workspace and the home directory, and no network unless "
            "that was granted."},
    {.name = "list", .syscall = "fs.list", .doc = "Lists a directory."},
    {.name = "read", .syscall = "fs.read", .doc = "Reads a text file, whole or a range of lines."},
    {.name = "search",
     .syscall = "fs.search",
     .doc = "Finds lines that match a regular expression in the files of a tree. Files that "
            ".gitignore names are left out."},
    {.name = "write",
     .syscall = "fs.write",
     .doc = "Replaces a file's whole text, or makes the file and the directories above it."},
}};

consteval bool in_order(const std::array<ToolRow, 8>& rows) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].doc.ends_with('.') || rows[i].syscall.empty()) return false;
    if (rows[i].name != kToolNames[i]) return false;
    if (i > 0 && !(rows[i - 1].name < rows[i].name)) return false;
  }
  return true;
}
static_assert(in_order(kTools),
              "tools: sorted, each once and known to profiles, with a syscall and a sentence");

std::vector<std::string> given_names(const ProfileSettings& profile) {
  std::vector<std::string> names;
  for (const ToolRow& tool : kTools) {
    if (values::gives(profile, tool.name)) names.emplace_back(tool.name);
  }
  return names;
}

// The end of the first at most `limit` bytes, moved back to a line's end if one is near.
std::string_view head_of(std::string_view s, std::size_t limit) {
  const std::string_view cut = text::prefix(s, limit);
  const auto newline = cut.rfind('\n');
  return newline != cut.npos && newline + 1 > cut.size() / 2 ? cut.substr(0, newline + 1) : cut;
}

std::string_view tail_of(std::string_view s, std::size_t limit) {
  const std::string_view cut = text::suffix(s, limit);
  const auto newline = cut.find('\n');
  return newline != cut.npos && newline < cut.size() / 2 ? cut.substr(newline + 1) : cut;
}

}  // namespace

std::span<const ToolRow> all_tools() { return kTools; }

const ToolRow* find_tool(std::string_view name) {
  const auto found = std::ranges::lower_bound(kTools, name, {}, &ToolRow::name);
  return found != kTools.end() && found->name == name ? &*found : nullptr;
}

bool only_asks(const ToolRow& tool) {
  const SyscallEntry* entry = find_syscall(tool.syscall);
  return entry != nullptr && entry->row.kind == CallKind::query;
}

json::Array tool_descriptions(const ProfileSettings& profile) {
  json::Array tools;
  for (const ToolRow& tool : kTools) {
    const SyscallEntry* entry = find_syscall(tool.syscall);
    if (entry == nullptr || !values::gives(profile, tool.name)) continue;
    json::Object function{
        {"name", tool.name}, {"description", tool.doc}, {"parameters", json_schema(entry->fields)}};
    tools.push_back(json::Object{{"type", "function"}, {"function", std::move(function)}});
  }
  return tools;
}

Result<DecodedCall> decode_call(const std::string& tool, const std::string& arguments,
                                const ProfileSettings& profile) {
  DecodedCall call;
  call.tool = find_tool(tool);
  if (call.tool != nullptr) call.syscall = find_syscall(call.tool->syscall);
  if (call.syscall == nullptr || !values::gives(profile, tool)) {
    const std::vector<std::string> names = given_names(profile);
    return fail(ENOENT, "{}: no such tool{}; there are {}", text::shown(tool),
                text::did_you_mean(tool, names), names.empty() ? "none" : text::join(names, ", "));
  }
  // Some servers send nothing at all for a call without arguments.
  Result<json::Value> parsed = json::parse(text::trim(arguments).empty() ? "{}" : arguments);
  const std::string schema = json::dump(json_schema(call.syscall->fields));
  if (!parsed) {
    return fail(EINVAL,
                "{}: the arguments are not valid JSON ({}): {}; an object with this schema is: {}. "
                "If the answer was cut off at the output limit, do it in smaller pieces.",
                tool, parsed.error().message, text::shown(arguments), schema);
  }
  if (parsed->object() == nullptr) {
    return fail(EINVAL, "{}: the arguments are no JSON object ({}); one with this schema is: {}",
                tool, text::shown(arguments), schema);
  }
  call.arguments = *std::move(parsed);
  return call;
}

std::string bounded(std::string_view result, std::size_t limit, std::string_view path) {
  limit = std::max<std::size_t>(limit, 256);
  // A replacement character takes three bytes, so what fits now may not fit as UTF-8.
  std::string whole;
  if (!text::is_utf8(result)) result = whole = text::to_utf8(result);
  if (result.size() <= limit) return std::string(result);
  const std::string_view head = head_of(result, limit / 2);
  const std::string_view tail = tail_of(result.substr(head.size()), limit / 2);
  const std::size_t left_out = result.size() - head.size() - tail.size();
  return fmt::format(
      "{}{}… {} bytes left out; all of it is in {} (read it in ranges of lines) …\n{}", head,
      head.ends_with('\n') ? "" : "\n", left_out, path, tail);
}

}  // namespace agentfs::agents
