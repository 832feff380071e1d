// SPDX-License-Identifier: MIT
#include "backends/http/worker.h"

#include <algorithm>
#include <vector>

#include "backends/http/retry.h"

namespace agentfs {
namespace {

using http::Attempt;
using http::Failure;
using http::kMillisecond;

constexpr std::int64_t kLongestPoll = 60'000 * kMillisecond;

Status check(const ModelSettings& settings) {
  const auto positive = [](std::string_view name, std::int64_t value) -> Status {
    // The upper bound keeps sums of nanoseconds within 64 bits.
    if (value > 0 && value <= 1'000'000'000'000) return ok();
    return fail(EINVAL, "{}: out of range ({}); 1 to 1000000000000 milliseconds will do", name,
                value);
  };
  TRY(positive("connect_timeout_ms", settings.connect_timeout_ms));
  TRY(positive("idle_timeout_ms", settings.idle_timeout_ms));
  return positive("total_timeout_ms", settings.total_timeout_ms);
}

Result<http::Plan> planned(const ChatRequest& request, const http::Dialect& dialect) {
  http::Plan plan;
  TRY(check(request.settings));
  plan.endpoint = TRY(http::endpoint(request.settings.base_url, "/chat/completions"));
  plan.secret = TRY(http::Secret::read(request.settings));
  plan.dialect = dialect;
  plan.body = http::request_body(request, dialect);
  plan.settings = request.settings;
  return plan;
}

std::pair<std::string, std::string> key_of(const ModelSettings& settings) {
  return {settings.base_url, settings.model};
}

double seconds(std::int64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e9; }

}  // namespace

HttpModelDriver::Worker::Worker(CURLM* multi, Inbox& inbox, const Clock& clock, HttpOptions options)
    : multi_(multi), inbox_(inbox), clock_(clock), options_(std::move(options)) {}

void HttpModelDriver::Worker::run() {
  for (;;) {
    Inbox::Taken taken = inbox_.take();
    for (Inbox::Order& order : taken.started) begin(std::move(order));
    for (const std::uint64_t id : taken.cancelled) {
      if (const auto job = jobs_.find(id); job != jobs_.end()) {
        end(*job->second, fail(EINTR, "model {}: cancelled", job->second->plan.settings.name));
      }
    }
    if (taken.stop) break;
    look_at_clock();
    int running = 0;
    ::curl_multi_perform(multi_, &running);
    collect();
    ::curl_multi_poll(multi_, nullptr, 0, poll_timeout(), nullptr);
  }
  while (!jobs_.empty()) {
    Job& job = *jobs_.begin()->second;
    end(job, fail(EINTR, "model {}: cancelled, the daemon stops", job.plan.settings.name));
  }
}

void HttpModelDriver::Worker::begin(Inbox::Order order) {
  const auto known = dialects_.find(key_of(order.request.settings));
  auto plan = planned(order.request, known == dialects_.end() ? http::Dialect{} : known->second);
  if (!plan) {
    order.done.complete(
        fail(plan.error().code, "model {}: {}", order.request.settings.name, plan.error().message));
    return;
  }
  auto job = std::make_unique<Job>();
  job->id = order.id;
  job->request = std::move(order.request);
  job->plan = *std::move(plan);
  job->plan.progress = std::move(order.progress);
  job->done = std::move(order.done);
  job->resumes = clock_.steady();
  job->deadline = job->resumes + job->plan.settings.total_timeout_ms * kMillisecond;
  jobs_.emplace(order.id, std::move(job));
}

void HttpModelDriver::Worker::attempt(Job& job) {
  ++job.attempt;
  job.transfer = std::make_unique<http::Transfer>(job.plan, clock_, options_.body_limit);
  CURL* handle = job.transfer->handle();
  ::curl_easy_setopt(handle, CURLOPT_PRIVATE, &job);
  if (handle == nullptr || ::curl_multi_add_handle(multi_, handle) != CURLM_OK) {
    job.transfer.reset();
    settle(job, http::final_failure(ENOSPC, "curl: out of memory"));
  }
}

void HttpModelDriver::Worker::collect() {
  int left = 0;
  while (const CURLMsg* message = ::curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    Job* job = nullptr;
    ::curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &job);
    settle(*job, job->transfer->outcome(code));
  }
}

void HttpModelDriver::Worker::look_at_clock() {
  const std::int64_t now = clock_.steady();
  std::vector<Job*> due;
  for (const auto& [id, job] : jobs_) {
    if (next_moment(*job) <= now) due.push_back(job.get());
  }
  for (Job* job : due) expire(*job);
}

std::int64_t HttpModelDriver::Worker::next_moment(const Job& job) const {
  if (!job.transfer) return std::min(job.resumes, job.deadline);
  return std::min(job.transfer->silence_ends().value_or(job.deadline), job.deadline);
}

void HttpModelDriver::Worker::expire(Job& job) {
  if (job.deadline <= clock_.steady()) {
    give_up(job, Failure{{ETIMEDOUT, fmt::format("{}: no answer within total_timeout_ms ({} ms)",
                                                 job.plan.endpoint.shown,
                                                 job.plan.settings.total_timeout_ms)}});
  } else if (job.transfer) {
    settle(job, job.transfer->outcome_of_silence());
  } else {
    attempt(job);
  }
}

void HttpModelDriver::Worker::settle(Job& job, Attempt<ChatReply> outcome) {
  drop_transfer(job);
  if (outcome) {
    outcome->attempts = job.attempt;
    if (job.plan.dialect != http::Dialect{}) {
      dialects_[key_of(job.plan.settings)] = job.plan.dialect;
    }
    end(job, *std::move(outcome));
  } else if (!ask_in_other_form(job, outcome.error()) && !retry(job, outcome.error())) {
    give_up(job, std::move(outcome).error());
  }
}

// At once, and also where no attempt is left: the server has not begun to answer. Each form differs
// from those before it, so this ends.
bool HttpModelDriver::Worker::ask_in_other_form(Job& job, const Failure& failure) {
  if (!failure.other_form) return false;
  std::string body = http::request_body(job.request, *failure.other_form);
  if (body == job.plan.body) return false;  // has nothing of what the server named
  job.plan.dialect = *failure.other_form;
  job.plan.body = std::move(body);
  job.resumes = clock_.steady();
  if (job.plan.progress) {
    const std::string reason =
        fmt::format("{}; asked again in the form that it names", failure.error.message);
    job.plan.progress({ModelProgress::Kind::retry, job.plan.secret.redacted(reason)});
  }
  return true;
}

bool HttpModelDriver::Worker::retry(Job& job, const Failure& failure) {
  const ModelSettings& settings = job.plan.settings;
  if (!failure.may_pass || job.attempt >= settings.max_attempts) return false;
  const std::int64_t wait = http::retry_delay(settings, job.attempt, failure, options_.random());
  const std::int64_t now = clock_.steady();
  if (wait >= job.deadline - now) return false;
  job.resumes = now + wait;
  if (job.plan.progress) {
    const std::string reason =
        fmt::format("{}; attempt {} of {} in {:.1f} s", failure.error.message, job.attempt + 1,
                    settings.max_attempts, seconds(wait));
    job.plan.progress({ModelProgress::Kind::retry, job.plan.secret.redacted(reason)});
  }
  return true;
}

void HttpModelDriver::Worker::give_up(Job& job, Failure failure) {
  const ModelSettings& settings = job.plan.settings;
  std::string sentence = fmt::format("model {}: {}", settings.name, failure.error.message);
  if (failure.may_pass && job.attempt < settings.max_attempts) {
    sentence += fmt::format(
        "; the wait before another attempt{} is longer than what is left of "
        "total_timeout_ms ({} ms)",
        failure.retry_after ? fmt::format(" ({:.0f} s)", seconds(*failure.retry_after)) : "",
        settings.total_timeout_ms);
  } else if (job.attempt > 1) {
    sentence += fmt::format(" (attempt {})", job.attempt);
  }
  end(job, fail(failure.error.code, "{}", job.plan.secret.redacted(sentence)));
}

void HttpModelDriver::Worker::end(Job& job, Result<ChatReply> answer) {
  drop_transfer(job);
  auto node = jobs_.extract(job.id);
  node.mapped()->done.complete(std::move(answer));
}

void HttpModelDriver::Worker::drop_transfer(Job& job) {
  if (!job.transfer) return;
  ::curl_multi_remove_handle(multi_, job.transfer->handle());
  job.transfer.reset();
}

int HttpModelDriver::Worker::poll_timeout() const {
  const std::int64_t now = clock_.steady();
  std::int64_t next = now + kLongestPoll;
  for (const auto& [id, job] : jobs_) next = std::min(next, next_moment(*job));
  const std::int64_t left = std::max<std::int64_t>(next - now, 0);
  return static_cast<int>((left + kMillisecond - 1) / kMillisecond);
}

}  // namespace agentfs
