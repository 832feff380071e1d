// SPDX-License-Identifier: MIT
#include "unit/agents/world.h"

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <set>
#include <stdexcept>
#include <utility>

#include "base/file.h"
#include "base/text.h"

namespace agentfs::agents::test {
namespace {

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return *std::move(result);
}

}  // namespace

void FakeModel::start(ChatRequest request, Progress progress, Completion<ChatReply> done) {
  Play play;
  {
    Lock lock(mutex_);
    requests_.push_back(request);
    if (holding_) {
      held_.push_back({std::move(request), done});
    } else {
      play = play_;
    }
  }
  if (!play) {
    done.on_cancel([this, done] {
      ++cancelled_;
      done.complete(fail(EINTR, "model: cancelled"));
    });
    return;
  }
  Result<ChatReply> reply = play(request);
  if (reply && !reply->text.empty()) progress({ModelProgress::Kind::text, reply->text});
  done.complete(std::move(reply));
}

void FakeModel::play(Play play) {
  Lock lock(mutex_);
  play_ = std::move(play);
}

void FakeModel::hold() {
  Lock lock(mutex_);
  holding_ = true;
}

void FakeModel::release() {
  std::vector<Held> held;
  Play play;
  {
    Lock lock(mutex_);
    holding_ = false;
    held = std::exchange(held_, {});
    play = play_;
  }
  for (Held& one : held) one.done.complete(play(one.request));
}

std::size_t FakeModel::asked() const {
  Lock lock(mutex_);
  return requests_.size();
}

ChatRequest FakeModel::request(std::size_t index) const {
  Lock lock(mutex_);
  return requests_.at(index);
}

ToolCall tool(std::string id, std::string name, std::string arguments) {
  return {std::move(id), std::move(name), std::move(arguments)};
}

ToolCall read_of(std::string id, const std::string& path) {
  return tool(std::move(id), "read", json::dump(json::Object{{"path", path}}));
}

ChatReply say(std::string text) {
  ChatReply reply;
  reply.text = std::move(text);
  reply.usage = {.input = 100, .output = 10, .cached = 0, .estimated = false};
  reply.finish_reason = "stop";
  reply.model = "fake";
  return reply;
}

ChatReply call(std::vector<ToolCall> calls, std::string text) {
  ChatReply reply = say(std::move(text));
  reply.calls = std::move(calls);
  reply.finish_reason = "tool_calls";
  return reply;
}

std::size_t step_of(const ChatRequest& request) {
  std::size_t step = 0;
  for (const json::Value& message : request.messages) {
    if (message["role"].text() == "user") step = 0;
    if (message["role"].text() == "assistant") ++step;
  }
  return step;
}

std::string last_text(const ChatRequest& request) {
  return std::string(request.messages.back()["content"].text());
}

std::string find_invalid(const json::Array& messages) {
  std::set<std::string> seen;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (messages[i]["role"].text() == "tool") return fmt::format("message {}: a stray result", i);
    const json::Array* calls = messages[i]["tool_calls"].array();
    if (calls == nullptr) continue;
    for (const json::Value& call : *calls) {
      const std::string id(call["id"].text());
      if (!seen.insert(id).second) return fmt::format("call {}: twice", id);
      if (++i >= messages.size() || messages[i]["tool_call_id"].text() != id) {
        return fmt::format("call {}: not answered in its place", id);
      }
    }
  }
  return {};
}

Result<struct stat> FakePaths::attributes(const Caller&, const std::string& path) {
  Lock lock(mutex_);
  const auto found = files_.find(path);
  if (found == files_.end()) return fail(ENOENT, "{}: no such file", path);
  struct stat result{};
  result.st_mode = S_IFREG | 0644;
  result.st_size = static_cast<off_t>(found->second.size());
  return result;
}

Result<std::string> FakePaths::read(const Caller&, const std::string& path, std::uint64_t offset,
                                    std::uint64_t limit) {
  std::function<void(const std::string&)> on_read;
  Result<std::string> result;
  {
    Lock lock(mutex_);
    on_read = on_read_;
    const auto found = files_.find(path);
    if (const auto failing = failing_.find(path); failing != failing_.end()) {
      return fail(failing->second, "{}: cannot be read, as the test wants it", path);
    }
    if (found == files_.end()) return fail(ENOENT, "{}: no such file", path);
    const std::string& text = found->second;
    const std::size_t from = std::min<std::size_t>(offset, text.size());
    result = text.substr(from, limit == 0 ? text.npos : limit);
  }
  const std::size_t now = ++readers_;
  for (std::size_t most = most_readers_; now > most;) {
    if (most_readers_.compare_exchange_weak(most, now)) break;
  }
  if (on_read) on_read(path);
  --readers_;
  return result;
}

Status FakePaths::write(const Caller& caller, const std::string& path, std::string_view text) {
  if (path.starts_with("/workspaces/")) {
    TRY(caller.kernel->record_change(caller,
                                     {.operation = "write", .path = path, .bytes = text.size()}));
  }
  Lock lock(mutex_);
  files_[path] = text;
  ++writes_[path];
  return ok();
}

Result<std::vector<NamespaceEntry>> FakePaths::list(const Caller&, const std::string& path) {
  Lock lock(mutex_);
  std::vector<NamespaceEntry> entries;
  const std::string prefix = path + "/";
  for (const auto& [name, text] : files_) {
    if (!name.starts_with(prefix)) continue;
    const std::string rest = name.substr(prefix.size());
    if (rest.find('/') == rest.npos) entries.push_back({rest, S_IFREG, text.size()});
  }
  if (entries.empty()) return fail(ENOENT, "{}: no such directory", path);
  return entries;
}

Status FakePaths::remove(const Caller&, const std::string& path) {
  Lock lock(mutex_);
  return files_.erase(path) != 0 ? ok() : Status(fail(ENOENT, "{}: no such file", path));
}

void FakePaths::command(const Caller&, const std::string& path, std::string,
                        Completion<std::string> reply) {
  ++commands_;
  reply.on_cancel([path, reply] { reply.complete(fail(EINTR, "{}: interrupted", path)); });
}

void FakePaths::put(const std::string& path, std::string text) {
  Lock lock(mutex_);
  files_[path] = std::move(text);
}

std::string FakePaths::text(const std::string& path) const {
  Lock lock(mutex_);
  const auto found = files_.find(path);
  return found == files_.end() ? std::string() : found->second;
}

std::size_t FakePaths::writes(const std::string& path) const {
  Lock lock(mutex_);
  const auto found = writes_.find(path);
  return found == writes_.end() ? 0 : found->second;
}

void FakePaths::on_read(std::function<void(const std::string& path)> callback) {
  Lock lock(mutex_);
  on_read_ = std::move(callback);
}

void FakePaths::fail_reads(const std::string& path, int code) {
  Lock lock(mutex_);
  failing_[path] = code;
}

Result<std::string> FakeRepository::commit(const TurnCommit& commit) {
  Lock lock(mutex_);
  commits_.push_back(commit);
  return fmt::format("commit{}", commits_.size());
}

std::vector<TurnCommit> FakeRepository::commits() const {
  Lock lock(mutex_);
  return commits_;
}

Disk::Disk() {
  std::string pattern = "/tmp/agentfs-agents-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  directory = pattern;
}

Disk::~Disk() {
  std::error_code ignored;
  std::filesystem::remove_all(directory, ignored);
}

World::World(Disk& disk, FakeModel& model, std::size_t workers)
    : pool_(workers), log_(disk.log, log_faults_), records_(disk.records, record_faults_) {
  journal_ = must(Journal::open(log_, must(SigningKey::ensure(disk.directory + "/key")), clock_));
  KernelParts parts;
  parts.clock = &clock_;
  parts.loop = &loop_;
  parts.pool = &pool_;
  parts.journal = journal_.get();
  parts.store = &records_;
  parts.blobs = disk.blobs.get();
  parts.repository = &repository_;
  parts.exec = &exec_;
  parts.model_drivers = {{"script", &model}};
  parts.state = disk.directory;
  parts.mountpoint = disk.directory + "/mnt";
  kernel_ = must(Kernel::start(std::move(parts)));
  ModelSettings settings;
  settings.name = "default";
  settings.driver = "script";
  settings.model = "fake";
  settings.usd_per_million_in = 2;
  settings.usd_per_million_out = 10;
  kernel_->configuration().set_found_default(settings);
  kernel_->set_namespace(&disk.paths);
  agents_ = std::make_unique<Agents>(*kernel_);
  kernel_->set_userland(agents_.get());
  kernel_->resume();
}

World::~World() {
  kernel_->set_userland(nullptr);
  agents_.reset();
  kernel_.reset();
  pool_.stop();
  loop_.stop();
}

void World::fail_records(std::size_t nth, int code, std::size_t times) {
  log_faults_->fail_call(LogCall::append, code, nth, times);
}

ProcessId World::spawn(const std::string& task, json::Object more) {
  const ProcessRef init = kernel_->init_process(0);
  json::Object data{{"parent", init->pid.value}, {"name", "fixer"},
                    {"user", init->user},        {"uid", 0},
                    {"profile", "default"},      {"model", "default"},
                    {"workspace", "site"},       {"cwd", "/workspaces/site"}};
  if (!task.empty()) data.insert(data.end(), {{"task", task}, {"from", init->user}});
  for (auto& member : more) data.push_back(std::move(member));
  const Result<Record> record =
      kernel_->commit(kernel_->agent(init->pid), std::string(kind::kProcessSpawn), std::move(data));
  if (!record) return {};
  return ProcessId{static_cast<std::uint64_t>(record->data["pid"].number())};
}

Status World::send(ProcessId pid, const std::string& text) {
  return commit(pid, kind::kMessageQueue, {{"text", text}, {"from", "root"}});
}

Status World::commit(ProcessId pid, std::string_view kind, json::Object data) {
  data.insert(data.begin(), {"pid", pid.value});
  const ProcessRef init = kernel_->init_process(0);
  TRY(kernel_->commit(kernel_->agent(init->pid), std::string(kind), std::move(data)));
  return ok();
}

std::string World::wait(ProcessId pid) {
  const auto answer = std::make_shared<std::promise<Result<std::string>>>();
  auto future = answer->get_future();
  kernel_->await_run_end(pid, Completion<std::string>([answer](Result<std::string> result) {
                           answer->set_value(std::move(result));
                         }));
  if (future.wait_for(std::chrono::seconds(20)) != std::future_status::ready) return "(no end)";
  const Result<std::string> result = future.get();
  return result ? *result : "error: " + result.error().message;
}

bool World::at_rest(ProcessId pid) {
  const ProcessRef found = process(pid);
  return found == nullptr || found->state == RunState::dead ||
         (found->state == RunState::idle && found->queued.empty());
}

}  // namespace agentfs::agents::test
