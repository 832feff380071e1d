// SPDX-License-Identifier: MIT
#include "backends/http/transfer.h"

#include <algorithm>
#include <utility>

#include "backends/http/retry.h"
#include "base/text.h"

namespace agentfs::http {
namespace {

constexpr std::size_t kErrorBody = 4096;
// A stream that has said all and is not closed is not waited for longer than this.
constexpr std::int64_t kAfterDone = 200 * kMillisecond;

template <class Value>
void set(CURL* handle, CURLoption option, Value value) {
  ::curl_easy_setopt(handle, option, value);
}

// Certificates and addresses do not get better by asking again.
bool may_pass(CURLcode code) {
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CIPHER:
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_OUT_OF_MEMORY:
      return false;
    default:
      return true;
  }
}

int errno_of(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return EHOSTDOWN;
    case CURLE_OPERATION_TIMEDOUT:
      return ETIMEDOUT;
    case CURLE_UNSUPPORTED_PROTOCOL:  // what is said instead of "no HTTP at all"
    case CURLE_WEIRD_SERVER_REPLY:
      return EBADMSG;
    default:
      return EREMOTEIO;
  }
}

}  // namespace

Transfer::Transfer(const Plan& plan, const Clock& clock, std::size_t body_limit)
    : plan_(plan),
      clock_(clock),
      body_limit_(body_limit),
      handle_(::curl_easy_init()),
      parser_(std::min(body_limit, SseParser::kLimit)),
      builder_(plan.progress, plan.secret) {
  set_headers();
  set_options();
}

void Transfer::set_headers() {
  const auto add = [this](const std::string& line) {
    curl_slist* longer = ::curl_slist_append(headers_.get(), line.c_str());
    if (longer == nullptr) return;
    [[maybe_unused]] curl_slist* old = headers_.release();
    headers_.reset(longer);
  };
  add("Content-Type: application/json");
  add(plan_.settings.stream ? "Accept: text/event-stream, application/json"
                            : "Accept: application/json");
  add("Expect:");  // no round trip before a long body
  if (!plan_.secret.key().empty()) add("Authorization: Bearer " + plan_.secret.key());
}

void Transfer::set_options() {
  CURL* h = handle_.get();
  set(h, CURLOPT_URL, plan_.endpoint.url.c_str());
  set(h, CURLOPT_PROTOCOLS_STR, "http,https");
  set(h, CURLOPT_FOLLOWLOCATION, 0L);  // the key goes nowhere else
  if (plan_.endpoint.loopback) set(h, CURLOPT_PROXY, "");
  set(h, CURLOPT_NOSIGNAL, 1L);
  set(h, CURLOPT_USERAGENT, "agentfs/" AGENTFS_VERSION);
  set(h, CURLOPT_HTTPHEADER, headers_.get());
  set(h, CURLOPT_POST, 1L);
  set(h, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(plan_.body.size()));
  set(h, CURLOPT_POSTFIELDS, plan_.body.c_str());
  set(h, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(plan_.settings.connect_timeout_ms));
  set(h, CURLOPT_TCP_KEEPALIVE, 1L);
  set(h, CURLOPT_ERRORBUFFER, curl_error_.data());
  set(h, CURLOPT_WRITEFUNCTION, &Transfer::on_write);
  set(h, CURLOPT_WRITEDATA, this);
  set(h, CURLOPT_HEADERFUNCTION, &Transfer::on_header);
  set(h, CURLOPT_HEADERDATA, this);
  set(h, CURLOPT_PREREQFUNCTION, &Transfer::on_connected);
  set(h, CURLOPT_PREREQDATA, this);
}

int Transfer::on_connected(void* self, char*, char*, int, int) {
  auto* transfer = static_cast<Transfer*>(self);
  transfer->last_byte_ = transfer->clock_.steady();
  return CURL_PREREQFUNC_OK;
}

std::size_t Transfer::on_header(char*, std::size_t one, std::size_t count, void* self) {
  auto* transfer = static_cast<Transfer*>(self);
  transfer->last_byte_ = transfer->clock_.steady();
  return one * count;
}

std::size_t Transfer::on_write(char* bytes, std::size_t one, std::size_t count, void* self) {
  auto* transfer = static_cast<Transfer*>(self);
  transfer->last_byte_ = transfer->clock_.steady();
  const std::size_t size = one * count;
  return transfer->take({bytes, size}) ? size : CURL_WRITEFUNC_ERROR;
}

std::optional<std::int64_t> Transfer::silence_ends() const {
  if (last_byte_ < 0) return std::nullopt;
  const std::int64_t allowed = plan_.settings.idle_timeout_ms * kMillisecond;
  return last_byte_ + (builder_.saw_done() ? std::min(allowed, kAfterDone) : allowed);
}

long Transfer::status() const {
  long status = 0;
  ::curl_easy_getinfo(handle_.get(), CURLINFO_RESPONSE_CODE, &status);
  return status;
}

void Transfer::find_kind() {
  const char* header = nullptr;
  ::curl_easy_getinfo(handle_.get(), CURLINFO_CONTENT_TYPE, &header);
  const std::string type = text::lower(header != nullptr ? header : "");
  if (type.starts_with("text/event-stream")) {
    kind_ = Kind::stream;
  } else if (type.starts_with("application/json")) {
    kind_ = Kind::whole;
  } else if (type.starts_with("text/html")) {
    kind_ = Kind::page;
  } else if (const auto begin = text::trim(body_); !begin.empty()) {
    kind_ = begin.front() == '{' || !plan_.settings.stream ? Kind::whole : Kind::stream;
  }
}

bool Transfer::take(std::string_view bytes) {
  received_ += bytes.size();
  if (received_ > body_limit_) {
    failure_ = Failure{{EBADMSG, fmt::format("the answer is longer than {} bytes", body_limit_)}};
    return false;
  }
  const long code = status();
  if (code < 200 || code >= 300) {
    body_.append(bytes.substr(0, kErrorBody - std::min(kErrorBody, body_.size())));
    return true;
  }
  if (kind_ == Kind::stream) return take_stream(bytes);
  body_ += bytes;
  if (kind_ == Kind::unknown) find_kind();
  if (kind_ != Kind::stream) return true;
  return take_stream(std::exchange(body_, {}));
}

bool Transfer::take_stream(std::string_view bytes) {
  const auto fed = parser_.feed(bytes, [this](const SseEvent& event) {
    // An error event whose data is not of the usual form.
    if (event.type == "error" && !event.data.contains("\"error\"")) {
      failure_ = Failure{{EREMOTEIO, fmt::format("the server broke off with an error: {}",
                                                 server_message(event.data, plan_.secret))}};
      return false;
    }
    auto taken = builder_.take_chunk(event.data);
    if (!taken) failure_ = std::move(taken).error();
    return !failure_;
  });
  if (!fed) failure_ = Failure{fed.error()};
  return !failure_;
}

std::string Transfer::status_line() const {
  const std::string message = server_message(body_, plan_.secret);
  return fmt::format("{} answered {}{}{}", plan_.endpoint.shown, status(),
                     message.empty() ? "" : ": ", message);
}

Attempt<ChatReply> Transfer::refused() const {
  const long code = status();
  if (code == 401 || code == 403) {
    return final_failure(EACCES, "{}; a key the server accepts would do", status_line());
  }
  if (code >= 300 && code < 400) {
    return final_failure(
        EREMOTEIO, "{}, which sends elsewhere; base_url must name the place itself", status_line());
  }
  if (code == 400 || code == 422) {
    Failure failure{{EREMOTEIO, status_line()}};
    failure.other_form = other_form(body_, plan_.dialect);
    return std::unexpected(std::move(failure));
  }
  if (!status_may_pass(code)) return final_failure(EREMOTEIO, "{}", status_line());
  if (code == 429 && is_out_of_quota(body_)) {
    return final_failure(EREMOTEIO, "{} (insufficient_quota); an account with credit would do",
                         status_line());
  }
  Failure failure{{EREMOTEIO, status_line()}, true};
  curl_header* header = nullptr;
  if (::curl_easy_header(handle_.get(), "Retry-After", 0, CURLH_HEADER, -1, &header) == CURLHE_OK) {
    failure.retry_after = parse_retry_after(header->value, clock_.wall());
  }
  return std::unexpected(std::move(failure));
}

Attempt<ChatReply> Transfer::broken(CURLcode code) const {
  const char* told = curl_error_[0] != '\0' ? curl_error_.data() : ::curl_easy_strerror(code);
  std::string sentence =
      fmt::format("{}: {}", plan_.endpoint.shown, text::trim(plan_.secret.redacted(told)));
  if (errno_of(code) == EHOSTDOWN) sentence += "; a server that listens at base_url would do";
  return std::unexpected(Failure{{errno_of(code), sentence}, may_pass(code)});
}

Attempt<ChatReply> Transfer::outcome(CURLcode code) {
  if (failure_) return std::unexpected(*std::move(failure_));
  if (const long answered = status(); answered >= 300) return refused();
  if (kind_ == Kind::stream && builder_.complete()) return builder_.finish(plan_.body.size());
  if (code != CURLE_OK) return broken(code);
  switch (kind_) {
    case Kind::page:
      return final_failure(EBADMSG,
                           "{} answered with a web page ({}); a base_url that ends in /v1 "
                           "may do",
                           plan_.endpoint.shown,
                           text::shown(plan_.secret.redacted(text::trim(body_))));
    case Kind::whole:
      TRY(builder_.take_whole(body_));
      return builder_.finish(plan_.body.size());
    case Kind::stream:
      if (builder_.saw_done()) return builder_.finish(plan_.body.size());
      return passing_failure(EREMOTEIO,
                             "{}: the stream ended before the reply did (no "
                             "finish_reason, no [DONE])",
                             plan_.endpoint.shown);
    case Kind::unknown:
      break;
  }
  return passing_failure(EREMOTEIO, "{} answered {} with an empty body", plan_.endpoint.shown,
                         status());
}

Attempt<ChatReply> Transfer::outcome_of_silence() {
  if (builder_.complete()) return builder_.finish(plan_.body.size());
  return passing_failure(ETIMEDOUT, "{}: no byte for idle_timeout_ms ({} ms)", plan_.endpoint.shown,
                         plan_.settings.idle_timeout_ms);
}

}  // namespace agentfs::http
