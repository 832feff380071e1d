// SPDX-License-Identifier: MIT
// Asking models by name, with their fallbacks.
#include <algorithm>

#include "base/text.h"
#include "kernel/kernel_state.h"

namespace agentfs {
namespace {

// One question on its way through a model and its fallbacks. Kept alive by its own callbacks.
class Question : public std::enable_shared_from_this<Question> {
 public:
  struct Setup {
    std::shared_ptr<const Configuration> configuration;
    std::vector<std::pair<std::string, ModelDriver*>> drivers;
    ChatRequest request;
    ModelDriver::Progress progress;
    Completion<ChatReply> done;
  };
  Question(Setup setup, std::vector<std::string> names)
      : setup_(std::move(setup)), names_(std::move(names)) {}

  void ask();
  void cancel();

 private:
  void answered(const std::string& name, Result<ChatReply> reply);
  Result<ModelDriver*> find_driver(const ModelSettings& settings) const;

  Setup setup_;
  const std::vector<std::string> names_;
  std::size_t next_ = 0;  // touched by one attempt at a time
  std::string failures_;
  Mutex<Rank::object> mutex_;
  Completion<ChatReply> attempt_ GUARDED_BY(mutex_);
  bool is_cancelled_ GUARDED_BY(mutex_) = false;
};

bool another_may_answer(int code) {
  return code == EHOSTDOWN || code == ETIMEDOUT || code == EREMOTEIO || code == EACCES ||
         code == EBADMSG;
}

Result<ModelDriver*> Question::find_driver(const ModelSettings& settings) const {
  std::vector<std::string> known;
  for (const auto& [name, driver] : setup_.drivers) {
    if (name == settings.driver) return driver;
    known.push_back(name);
  }
  return fail(EINVAL, "model {}: no driver {}; {} are", settings.name, text::shown(settings.driver),
              text::join(known, ", "));
}

void Question::ask() {
  const std::string name = names_[next_++];
  Result<ModelSettings> settings = setup_.configuration->model(name);
  Result<ModelDriver*> driver =
      settings ? find_driver(*settings) : std::unexpected(settings.error());
  if (!driver) {
    answered(name, std::unexpected(driver.error()));
    return;
  }
  Completion<ChatReply> attempt([self = shared_from_this(), name](Result<ChatReply> reply) {
    self->answered(name, std::move(reply));
  });
  bool is_cancelled = false;
  {
    Lock lock(mutex_);
    attempt_ = attempt;
    is_cancelled = is_cancelled_;
  }
  if (is_cancelled) {
    attempt.complete(fail(EINTR, "model {}: cancelled", name));
    return;
  }
  ChatRequest request = setup_.request;
  request.settings = std::move(*settings);
  (*driver)->start(std::move(request), setup_.progress, attempt);
}

void Question::answered(const std::string& name, Result<ChatReply> reply) {
  if (reply) {
    reply->answered_by = name;
    setup_.done.complete(std::move(reply));
    return;
  }
  Error error = reply.error();
  const bool is_known = next_ > 1 && error.code == ENOENT;  // a fallback that is not there
  const bool goes_on = (another_may_answer(error.code) || is_known) && next_ < names_.size();
  if (!failures_.empty()) failures_ += "; ";
  // Most sentences begin with the model's name themselves.
  const bool is_named = names_.size() == 1 || error.message.starts_with("model ");
  failures_ += is_named ? error.message : fmt::format("{}: {}", name, error.message);
  if (!goes_on) {
    setup_.done.complete(std::unexpected(Error{error.code, failures_}));
    return;
  }
  if (setup_.progress) {
    setup_.progress({.kind = ModelProgress::Kind::retry,
                     .text = fmt::format("{}; {} is asked", error.message, names_[next_])});
  }
  ask();
}

void Question::cancel() {
  Completion<ChatReply> attempt;
  {
    Lock lock(mutex_);
    is_cancelled_ = true;
    attempt = attempt_;
  }
  if (attempt) attempt.cancel();
}

}  // namespace

void Kernel::ask_model(const std::string& name, ChatRequest request, ModelDriver::Progress progress,
                       Completion<ChatReply> done) {
  const Result<ModelSettings> settings = configuration().model(name);
  if (!settings) {
    done.complete(std::unexpected(settings.error()));
    return;
  }
  std::vector<std::string> names = {name};
  for (const std::string& fallback : settings->fallback) {
    if (std::ranges::find(names, fallback) == names.end()) names.push_back(fallback);
  }
  // The configuration outlives the kernel where an answer is late.
  std::shared_ptr<const Configuration> kept(state_, state_->configuration.get());
  auto question = std::make_shared<Question>(Question::Setup{.configuration = std::move(kept),
                                                             .drivers = parts().model_drivers,
                                                             .request = std::move(request),
                                                             .progress = std::move(progress),
                                                             .done = done},
                                             std::move(names));
  done.on_cancel([weak = std::weak_ptr(question)] {
    if (const auto there = weak.lock()) there->cancel();
  });
  question->ask();
}

}  // namespace agentfs
