// SPDX-License-Identifier: MIT
#include "kernel/lineage.h"

#include <algorithm>

#include "base/file.h"
#include "base/text.h"
#include "kernel/checked_line.h"

namespace agentfs {

std::string Lineage::name(std::uint32_t tree) { return fmt::format("{}.rollbacks", tree); }

std::string Lineage::file(const std::string& directory, std::uint32_t tree) {
  return fmt::format("{}/{}", directory, name(tree));
}

Result<Lineage> Lineage::read(const std::string& file) {
  Lineage lineage;
  const auto text = file::read(file);
  if (!text && text.error().code == ENOENT) return lineage;
  if (!text) return std::unexpected(text.error());
  if (text->empty()) return fail(EBADMSG, "{}: cannot be read (nothing is in it)", file);
  for (std::string_view rest = *text; !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size() - 1) + 1;
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end);
    if (line == "\n") continue;
    const auto words = checked(line);
    const auto undo = words ? text::number<std::uint64_t>(words->first) : std::nullopt;
    const auto to = words ? text::number<std::uint64_t>(words->second) : std::nullopt;
    if (!undo || !to) {
      return fail(EBADMSG, "{}: cannot be read (\"{}\" is no rollback)", file,
                  text::shown(text::trim(line)));
    }
    lineage.add(*undo, *to);
  }
  return lineage;
}

std::string Lineage::text() const {
  std::string text;
  for (const auto& [undo, to] : rollbacks_) text += with_check(fmt::format("{} {}", undo, to));
  return text;
}

void Lineage::add(std::uint64_t undo, std::uint64_t to) {
  if (!rollbacks_.empty() && rollbacks_.back().first >= undo) return;  // is known
  rollbacks_.emplace_back(undo, to);
}

void Lineage::forget_before(std::uint64_t state) {
  std::erase_if(rollbacks_, [&](const auto& one) { return one.first < state; });
}

bool Lineage::was_left(std::uint64_t state) const {
  return std::ranges::any_of(rollbacks_, [&](const auto& one) { return one.first == state; });
}

bool Lineage::has(std::uint64_t point, std::uint64_t end) const {
  for (auto one = rollbacks_.rbegin(); one != rollbacks_.rend(); ++one) {
    if (one->first >= end) continue;
    if (point > 2 * one->first) break;
    end = one->second;
  }
  return end == kNow || point <= 2 * end;
}

bool Lineage::has_state(std::uint64_t state, std::uint64_t end) const {
  return has(2 * state, end);
}

bool Lineage::has_after(std::uint64_t state, std::uint64_t end) const {
  return has(2 * state + 1, end);
}

}  // namespace agentfs
