// SPDX-License-Identifier: MIT
#include "backends/http/curl_driver.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>

#include <random>

#include "backends/http/inbox.h"
#include "backends/http/worker.h"

namespace agentfs {
namespace {

void initialize_curl() {
  static const CURLcode once = ::curl_global_init(CURL_GLOBAL_DEFAULT);
  static_cast<void>(once);
}

// Signals are for the main thread; and a TLS library that writes to a closed connection must not
// end the daemon by SIGPIPE.
void block_signals() {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

std::function<double()> generator() {
  return [engine = std::mt19937_64(std::random_device{}())]() mutable {
    return std::uniform_real_distribution<double>(0, 1)(engine);
  };
}

}  // namespace

HttpModelDriver::HttpModelDriver(const Clock& clock, HttpOptions options) {
  initialize_curl();
  if (!options.random) options.random = generator();
  CURLM* multi = ::curl_multi_init();
  inbox_ = std::make_shared<Inbox>(multi);
  thread_ = std::thread([multi, inbox = inbox_, &clock, options = std::move(options)]() mutable {
    block_signals();
    Worker(multi, *inbox, clock, std::move(options)).run();
    inbox->close();
    ::curl_multi_cleanup(multi);
  });
}

HttpModelDriver::~HttpModelDriver() {
  inbox_->stop();
  thread_.join();
}

void HttpModelDriver::start(ChatRequest request, Progress progress, Completion<ChatReply> done) {
  const std::uint64_t id = inbox_->add({0, std::move(request), std::move(progress), done});
  done.on_cancel([inbox = inbox_, id] { inbox->cancel(id); });
}

void HttpModelDriver::wake() { inbox_->wake(); }

}  // namespace agentfs
