// SPDX-License-Identifier: MIT
#include "kernel/clock_steps.h"

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "kernel/checked_line.h"

namespace agentfs {

ClockSteps::ClockSteps(std::string file, const Clock& clock)
    : file_(std::move(file)), clock_(clock) {
  const Lock lock(mutex_);
  const std::int64_t now = clock_.wall();
  steady_ = clock_.steady();
  stored_ = steady_ - kStored;
  load();
  begin(now);
}

void ClockSteps::begin(std::int64_t now) {
  if (spans_.empty()) {
    spans_.push_back({.begin = 0, .end = now});
    return;
  }
  const std::int64_t latest = std::ranges::max(spans_, {}, &Span::end).end;
  const std::int64_t passed = std::max<std::int64_t>(now - latest, 0);
  if (now >= spans_.back().begin + kStep) believe();
  if (passed <= kStep) return go_on(spans_.back().end + passed, now);
  go_on(spans_.back().end, now);
  doubted_ = passed;
}

// What is not known to have passed has.
void ClockSteps::believe() {
  if (doubted_ == 0 || spans_.size() < 2) return;
  const Span now = spans_.back();
  spans_.pop_back();
  for (Span& span : spans_) span.shift -= doubted_;
  doubted_ = 0;
  if (spans_.back().shift == now.shift && spans_.back().end <= now.begin) {
    spans_.back().end = now.end;
  } else {
    spans_.push_back(now);
  }
}

void ClockSteps::look() {
  const Lock lock(mutex_);
  const std::int64_t steady = clock_.steady();
  const std::size_t before = spans_.size();
  go_on(spans_.back().end + (steady - steady_), clock_.wall());
  steady_ = steady;
  const bool is_doubted = doubted_ != 0;
  if (spans_.back().end >= spans_.back().begin + kStep) believe();
  const bool is_known = spans_.size() == before && is_doubted == (doubted_ != 0);
  if (is_known && steady - stored_ < kStored) return;
  stored_ = steady;
  store();
}

void ClockSteps::go_on(std::int64_t expected, std::int64_t now) {
  const std::int64_t step = now - expected;
  if (std::abs(step) <= kStep) {
    spans_.back().end = std::max(spans_.back().end, now);
    return;
  }
  doubted_ = 0;
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

bool ClockSteps::load_line(std::string_view line) {
  std::vector<std::int64_t> numbers;
  for (const std::string_view word : text::split(line, ' ')) {
    const auto number = text::number<std::int64_t>(word);
    if (!number) return false;
    numbers.push_back(*number);
  }
  if (numbers.size() == 1) doubted_ = numbers[0];
  if (numbers.size() == 1) return doubted_ >= 0;
  if (numbers.size() != 3 || numbers[0] > numbers[1]) return false;
  spans_.push_back({.begin = numbers[0], .end = numbers[1], .shift = numbers[2]});
  return true;
}

// A time that a flipped bit put far ahead would age all that is kept.
void ClockSteps::load() {
  const auto bytes = file::read(file_);
  if (!bytes) return;
  const std::string_view whole = *bytes;
  const auto last = whole.rfind('\n', whole.empty() ? 0 : whole.size() - 2);
  const std::size_t size = last == std::string_view::npos ? 0 : last + 1;
  bool is_good = whole.substr(size) == check_of(whole.substr(0, size)) + "\n";
  for (const std::string_view line : text::lines(whole.substr(0, size))) {
    is_good = is_good && load_line(line);
  }
  if (is_good && !spans_.empty()) return;
  log::warning("{}: is no record of when the clock was set; taken as if it never was", file_);
  spans_.clear();
  doubted_ = 0;
}

void ClockSteps::store() {
  std::string out = fmt::format("{}\n", doubted_);
  for (const Span& span : spans_)
    out += fmt::format("{} {} {}\n", span.begin, span.end, span.shift);
  if (const Status stored = file::replace(file_, out + check_of(out) + "\n"); !stored) {
    log::warning("clock: {}", stored.error().message);
  }
}

}  // namespace agentfs
