// SPDX-License-Identifier: MIT
#include "kernel/clock_steps.h"

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"

namespace agentfs {

ClockSteps::ClockSteps(std::string file, const Clock& clock)
    : file_(std::move(file)), clock_(clock) {
  const Lock lock(mutex_);
  const std::int64_t now = clock_.wall();
  steady_ = clock_.steady();
  stored_ = steady_ - kStored;
  load();
  if (spans_.empty()) {
    spans_.push_back({.begin = 0, .end = now});
  } else {
    const std::int64_t latest = std::ranges::max(spans_, {}, &Span::end).end;
    go_on(spans_.back().end + std::max<std::int64_t>(now - latest, 0), now);
  }
}

void ClockSteps::look() {
  const Lock lock(mutex_);
  const std::int64_t steady = clock_.steady();
  const std::size_t before = spans_.size();
  go_on(spans_.back().end + (steady - steady_), clock_.wall());
  steady_ = steady;
  if (spans_.size() == before && steady - stored_ < kStored) return;
  stored_ = steady;
  store();
}

void ClockSteps::go_on(std::int64_t expected, std::int64_t now) {
  const std::int64_t step = now - expected;
  if (std::abs(step) <= kStep) {
    spans_.back().end = std::max(spans_.back().end, now);
    return;
  }
  spans_.back().end = expected;
  for (Span& span : spans_) span.shift += step;
  spans_.push_back({.begin = now, .end = now});
  if (spans_.size() > kMost) spans_.erase(spans_.begin());
  log::warning("clock: set by {} s; what is kept for days goes by the time that has passed",
               step / 1'000'000'000);
}

std::int64_t ClockSteps::by_now(std::int64_t time) const {
  const Lock lock(mutex_);
  // What has come since the last look; not what is told by a clock that was ahead.
  const std::int64_t soon = clock_.wall() + kStep;
  std::optional<std::int64_t> within;
  std::optional<std::int64_t> behind;  // one that was not stored to its end
  for (const Span& span : spans_) {
    if (time < span.begin) continue;
    const std::int64_t end = &span == &spans_.back() ? soon : span.end;
    auto& latest = time <= end ? within : behind;
    const std::int64_t shown = std::min(time, end) + span.shift;
    latest = std::max(latest.value_or(shown), shown);
  }
  return within.or_else([&] { return behind; }).value_or(time + spans_.front().shift);
}

void ClockSteps::load() {
  const auto bytes = file::read(file_);
  if (!bytes) return;
  for (const std::string_view line : text::lines(*bytes)) {
    const auto words = text::split(line, ' ');
    std::vector<std::int64_t> numbers;
    for (const std::string_view word : words) {
      if (const auto number = text::number<std::int64_t>(word)) numbers.push_back(*number);
    }
    const bool is_span = numbers.size() == 3 && words.size() == 3 && numbers[0] <= numbers[1];
    if (!is_span) return log::warning("{}: not lines of a begin, an end and a shift", file_);
    spans_.push_back({.begin = numbers[0], .end = numbers[1], .shift = numbers[2]});
  }
}

void ClockSteps::store() {
  std::string out;
  for (const Span& span : spans_)
    out += fmt::format("{} {} {}\n", span.begin, span.end, span.shift);
  if (const Status stored = file::replace(file_, out); !stored) {
    log::warning("clock: {}", stored.error().message);
  }
}

}  // namespace agentfs
