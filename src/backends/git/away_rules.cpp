// SPDX-License-Identifier: MIT
#include "backends/git/away_rules.h"

#include <git2/ignore.h>

#include "base/byte_order_mark.h"
#include "base/text.h"

namespace agentfs::git {
namespace {

std::string escaped(std::string_view path) {
  std::string text;
  for (const char c : path) {
    if (std::string_view("*?[\\ ").contains(c)) text += '\\';
    text += c;
  }
  return text;
}

}  // namespace

// A rule with a slash before its end is of that directory, another of all below it.
std::string rule_at_top(const std::string& directory, std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.empty() || line.starts_with('#')) return "";
  if (directory.empty()) return std::string(line);
  const bool is_back = line.starts_with('!');
  if (is_back) line.remove_prefix(1);
  const auto slash = line.find('/');
  const bool is_of_it = slash != std::string_view::npos && slash + 1 < line.size();
  if (line.starts_with('/')) line.remove_prefix(1);
  return fmt::format("{}/{}{}{}", is_back ? "!" : "", escaped(directory), is_of_it ? "" : "**/",
                     line);
}

Status AwayRules::add(const std::string& directory, const git_oid& blob) {
  git_blob* raw = nullptr;
  const int result = git_blob_lookup(&raw, repository_, &blob);
  if (result == GIT_ENOTFOUND) return ok();
  const std::string what = text::shown(directory + ".gitignore");
  TRY(check(result, what));
  const BlobHandle found(raw);
  std::string rules;
  for (const std::string_view line : text::split(without_byte_order_mark(bytes_of(raw)), '\n')) {
    const std::string rule = rule_at_top(directory, line);
    if (!rule.empty() && !rule.contains('\0')) rules += rule + "\n";
  }
  if (rules.empty()) return ok();
  any_ = true;
  return check(git_ignore_add_rule(repository_, rules.c_str()), what);
}

}  // namespace agentfs::git
