// SPDX-License-Identifier: MIT
#include "support/test_kernel.h"

#include <stdlib.h>

#include <filesystem>
#include <latch>
#include <stdexcept>
#include <thread>

#include "backends/compare/comparing.h"
#include "backends/past/past.h"
#include "base/text.h"
#include "kernel/paths.h"
#include "support/must.h"

namespace agentfs::test {
namespace {

constexpr std::string_view kModel = "driver = \"script\"\nscenario = \"/dev/null\"\n";

// The real one, with the test beside it.
class WatchedMerger final : public TreeMerger {
 public:
  explicit WatchedMerger(const MergeWatch& watch) : watch_(watch) {}

  Result<MergePlan> plan(const MergeSides& sides, const CompareOptions& options) const override {
    if (watch_.before_plan) watch_.before_plan();
    return real_->plan(sides, options);
  }
  Result<std::string> merged(const MergeSides& sides,
                             const MergeConflict& conflict) const override {
    return real_->merged(sides, conflict);
  }
  Result<TextMerge> merge_texts(const Texts& texts) const override {
    return real_->merge_texts(texts);
  }
  Result<std::string> stage(const MergeSides& sides, const MergePlan& plan,
                            const StageOptions& options) const override {
    return real_->stage(sides, plan, options);
  }
  Status apply(const TreeSide& ours, const std::string& record,
               const Exchange& exchange) const override {
    TRY(real_->apply(ours, record, exchange));
    return watch_.after_apply ? watch_.after_apply() : ok();
  }
  Result<std::vector<TreeNodeRef>> freshen(const TreeSide& ours, const std::string& record,
                                           const Exchange& exchange) const override {
    return real_->freshen(ours, record, exchange);
  }
  Status undo(const TreeSide& ours, const std::string& record,
              const Exchange& exchange) const override {
    if (watch_.before_undo) TRY(watch_.before_undo());
    return real_->undo(ours, record, exchange);
  }
  Status finish(const TreeSide& ours, const std::string& record, const Kept& kept,
                const Returned& returned) const override {
    return real_->finish(ours, record, kept, returned);
  }
  Status discard(const TreeSide& ours) const override { return real_->discard(ours); }

 private:
  const MergeWatch& watch_;
  const std::unique_ptr<TreeMerger> real_ = open_merger();
};

}  // namespace

TestKernel::TestKernel(Options options)
    : log(make_memory_log()),
      store(make_memory_records()),
      options_(std::move(options)),
      faulty_log_(log, log_faults),
      faulty_store_(store, record_faults),
      blobs_(make_memory_blobs()),
      comparer_(open_comparer()),
      merger_(std::make_unique<WatchedMerger>(merging)),
      folder_(open_folder()) {
  const std::string etc = state() + "/etc";
  must(file::make_directories(etc + "/models"));
  must(file::make_directories(state() + "/trees/workspaces/site"));
  for (const char* name : {"default", "other"}) {
    must(file::replace(etc + "/models/" + name + ".toml", kModel));
  }
  if (!options_.agentfs_toml.empty())
    must(file::replace(etc + "/agentfs.toml", options_.agentfs_toml));
  must(start());
}

TestKernel::~TestKernel() { stop(); }

Status TestKernel::start() {
  SigningKey key = TRY(SigningKey::ensure(state() + "/key"));
  const Clock& time = options_.clock != nullptr ? *options_.clock : clock;
  journal_ = TRY(Journal::open(faulty_log_, std::move(key), time));
  KernelParts parts;
  parts.clock = &time;
  parts.loop = &loop_;
  parts.pool = &pool_;
  parts.journal = journal_.get();
  parts.store = &faulty_store_;
  parts.blobs = blobs_.get();
  past_ = TRY(open_past(state() + "/past"));
  parts.past = past_.get();
  parts.comparer = comparer_.get();
  parts.merger = merger_.get();
  parts.folder = folder_.get();
  for (const char* name : {"home", "workspaces"}) {
    const std::string trees = state() + "/trees/";
    TRY(file::make_directories(trees + name));
    auto& forest = forests_[fmt::format("/{}", name)];
    forest.reset();
    forest = TRY(open_forest(trees + name, fmt::format("{}.{}", trees, name)));
    parts.forests[fmt::format("/{}", name)] = forest.get();
  }
  parts.repository = &repository;
  parts.exec = &exec;
  parts.model_drivers = {{"script", &model}};
  parts.state = state();
  parts.mountpoint = "/mnt/agentfs";
  parts.owner = 0;
  kernel_ = TRY(Kernel::start(std::move(parts)));
  if (options_.fake_userland) kernel_->set_userland(&userland);
  paths.trees = state() + "/trees";
  kernel_->set_namespace(&paths);
  return ok();
}

void TestKernel::finish_work() {
  const auto all = std::make_shared<std::latch>(kWorkers + 1);
  for (std::size_t worker = 0; worker < kWorkers; ++worker) {
    pool_.post([all] { all->arrive_and_wait(); });
  }
  all->arrive_and_wait();
}

Status TestKernel::stop_and_start() {
  stop();
  return start();
}

Caller TestKernel::person() { return person(0); }

Caller TestKernel::person(uid_t uid) {
  HostCaller host;
  host.pid = 4242;
  host.uid = uid;
  host.command = "bash";
  host.session = "1.1";
  return must(kernel_->ensure_caller(host));
}

ProcessId TestKernel::spawn(const proc::Spawn& args) { return must(person().call(args)); }

Result<Record> TestKernel::commit(std::string_view kind, json::Value data) {
  return kernel_->commit(person(), std::string(kind), std::move(data));
}

std::vector<std::string> TestKernel::lines() const {
  std::vector<std::string> all;
  for (const SegmentInfo& segment : log->segments()) {
    const std::string text = must(log->read(segment.name));
    for (const std::string_view line : text::lines(text)) all.emplace_back(line);
  }
  return all;
}

json::Value about(ProcessId pid,
                  std::initializer_list<std::pair<std::string, json::Value>> members) {
  json::Value data;
  data.set("pid", pid.value);
  for (const auto& [name, value] : members) data.set(name, value);
  return data;
}

}  // namespace agentfs::test
