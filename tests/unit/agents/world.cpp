// SPDX-License-Identifier: MIT
#include "unit/agents/world.h"

#include <future>
#include <set>
#include <utility>

#include "support/must.h"

namespace agentfs::agents::test {

using agentfs::test::must;

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

World::World(Disk& disk, FakeModel& model, std::size_t workers)
    : pool_(workers), log_(disk.log, log_faults_), records_(disk.records, record_faults_) {
  journal_ =
      must(Journal::open(log_, must(SigningKey::ensure(disk.directory.path() + "/key")), clock_));
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
  parts.state = disk.directory.path();
  parts.mountpoint = disk.directory.path() + "/mnt";
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
