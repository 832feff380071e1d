// SPDX-License-Identifier: MIT
#include "kernel/limits.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "base/text.h"

namespace agentfs {
namespace {

using Parse = std::optional<std::int64_t> (*)(std::string_view);
using Show = std::string (*)(std::int64_t);
using Used = std::int64_t (*)(const Usage&);

std::optional<std::int64_t> parse_count(std::string_view word) {
  const auto value = text::number<std::int64_t>(word);
  return value && *value > 0 ? value : std::nullopt;
}

std::optional<std::int64_t> parse_usd(std::string_view word) {
  if (word.starts_with('$')) word.remove_prefix(1);
  const auto value = text::number<double>(word);
  if (!value || !std::isfinite(*value) || *value < 0 || *value > 1e9) return std::nullopt;
  const auto millionths = static_cast<std::int64_t>(std::llround(*value * 1e6));
  return millionths > 0 ? std::optional(millionths) : std::nullopt;
}

std::optional<std::int64_t> parse_wall(std::string_view word) {
  const auto value = text::duration(word);
  return value && *value > 0 ? value : std::nullopt;
}

std::string show_count(std::int64_t value) { return std::to_string(value); }
std::string show_usd(std::int64_t value) {
  return fmt::format("{}.{:06}", value / 1'000'000, value % 1'000'000);
}
std::string show_wall(std::int64_t value) {
  if (value % 1'000'000'000 == 0) return fmt::format("{}s", value / 1'000'000'000);
  if (value % 1'000'000 == 0) return fmt::format("{}ms", value / 1'000'000);
  return fmt::format("{}ns", value);
}

struct LimitRow {
  std::string_view name{};
  std::int64_t Limits::* limit = nullptr;
  Used used = nullptr;
  Parse parse = nullptr;
  Show show = nullptr;
  std::string_view wants{};
  Spending bounds = Spending::nothing;  // what cannot begin once the limit is reached
};

constexpr std::array kRows = {
    LimitRow{"tokens", &Limits::tokens, [](const Usage& u) { return u.tokens(); }, parse_count,
             show_count, "a number of tokens from 1, such as 100000", Spending::turn},
    LimitRow{"usd", &Limits::micro_usd, [](const Usage& u) { return u.micro_usd; }, parse_usd,
             show_usd, "dollars from 0.000001, such as 0.50", Spending::turn},
    LimitRow{"calls", &Limits::calls, [](const Usage& u) { return u.calls; }, parse_count,
             show_count, "a number of tool calls from 1, such as 20", Spending::call},
    LimitRow{"turns", &Limits::turns, [](const Usage& u) { return u.turns; }, parse_count,
             show_count, "a number of turns from 1, such as 8", Spending::turn},
    LimitRow{"wall", &Limits::wall_ns, [](const Usage& u) { return u.wall_ns; }, parse_wall,
             show_wall, "a duration above 0, such as 90s, 10m or 2h", Spending::turn},
};

const LimitRow* find_row(std::string_view name) {
  const auto found = std::ranges::find(kRows, name, &LimitRow::name);
  return found == kRows.end() ? nullptr : &*found;
}

Status parse_pair(std::string_view pair, Limits& limits) {
  const auto equals = pair.find('=');
  const std::string_view name = pair.substr(0, equals);
  const LimitRow* row = find_row(name);
  if (row == nullptr || equals == std::string_view::npos) {
    return fail(EINVAL,
                "limits: not a limit ({}); tokens=N, usd=X, calls=N, turns=N and "
                "wall=DURATION are, or none{}",
                text::shown(pair),
                text::did_you_mean(name, {"tokens", "usd", "calls", "turns", "wall"}));
  }
  const std::string_view word = pair.substr(equals + 1);
  const auto value = word == "none" ? std::optional<std::int64_t>(0) : row->parse(word);
  if (!value) {
    return fail(EINVAL, "limits: {} cannot be {}; {}, would do; {}=none sets no limit", name,
                text::shown(word), row->wants, name);
  }
  limits.*row->limit = *value;
  return ok();
}

}  // namespace

Result<Limits> parse_limits(std::string_view text, const Limits& others) {
  if (text::trim(text) == "none") return Limits{};
  Limits limits = others;
  std::string spaced(text);
  std::ranges::replace(spaced, ',', ' ');
  for (const std::string_view pair : text::words(spaced)) TRY(parse_pair(pair, limits));
  return limits;
}

std::string show(const Limits& limits) {
  std::string result;
  for (const LimitRow& row : kRows) {
    if (limits.*row.limit == 0) continue;
    if (!result.empty()) result += ',';
    result += fmt::format("{}={}", row.name, row.show(limits.*row.limit));
  }
  return result;
}

std::string_view exceeded(const Limits& limits, const Usage& usage, Spending spending) {
  for (const LimitRow& row : kRows) {
    const std::int64_t limit = limits.*row.limit;
    if (limit == 0) continue;
    const std::int64_t used = row.used(usage);
    if (used > limit || (used == limit && spending == row.bounds)) return row.name;
  }
  return {};
}

std::string show_exceeded(const Limits& limits, const Usage& usage, std::string_view resource) {
  const LimitRow* row = find_row(resource);
  if (row == nullptr) return std::string(resource);
  return fmt::format("spent {} {} of {}", row->name, row->show(row->used(usage)),
                     row->show(limits.*row->limit));
}

Status check_within(const Limits& wanted, const Limits& most, std::string_view who) {
  for (const LimitRow& row : kRows) {
    const std::int64_t bound = most.*row.limit;
    if (bound == 0 || wanted.*row.limit <= bound) continue;
    return fail(EPERM, "{} cannot have more {} than it was given ({}); up to {} would do", who,
                row.name, row.show(wanted.*row.limit), row.show(bound));
  }
  return ok();
}

Limits left(const Limits& limits, const Usage& usage) {
  Limits result = limits;
  for (const LimitRow& row : kRows) {
    std::int64_t& limit = result.*row.limit;
    if (limit != 0) limit = std::max<std::int64_t>(limit - row.used(usage), 1);
  }
  return result;
}

std::int64_t price(const ModelSettings& settings, const TokenUsage& usage) {
  // Dollars a million tokens are millionths of a dollar a token.
  const double cached_price = settings.usd_per_million_cached > 0 ? settings.usd_per_million_cached
                                                                  : settings.usd_per_million_in;
  const std::int64_t cached = std::clamp<std::int64_t>(usage.cached, 0, usage.input);
  const double total = static_cast<double>(usage.input - cached) * settings.usd_per_million_in +
                       static_cast<double>(cached) * cached_price +
                       static_cast<double>(usage.output) * settings.usd_per_million_out;
  return std::llround(std::clamp(total, 0.0, 1e15));
}

Limits narrowed(const Limits& child, const Limits& parent) {
  Limits result = child;
  for (const LimitRow& row : kRows) {
    const std::int64_t bound = parent.*row.limit;
    std::int64_t& limit = result.*row.limit;
    if (bound != 0 && (limit == 0 || limit > bound)) limit = bound;
  }
  return result;
}

}  // namespace agentfs
