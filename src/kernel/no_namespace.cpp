// SPDX-License-Identifier: MIT
#include "kernel/no_namespace.h"

namespace agentfs {
namespace {

std::unexpected<Error> nothing_at(const std::string& path) {
  return fail(ENOENT, "{}: nothing is mounted in this kernel", path);
}

class NoNamespace final : public Namespace {
 public:
  Result<struct stat> attributes(const Caller&, const std::string& path) override {
    return nothing_at(path);
  }
  Result<std::string> read(const Caller&, const std::string& path, std::uint64_t,
                           std::uint64_t) override {
    return nothing_at(path);
  }
  Status write(const Caller&, const std::string& path, std::string_view) override {
    return nothing_at(path);
  }
  Result<std::vector<NamespaceEntry>> list(const Caller&, const std::string& path) override {
    return nothing_at(path);
  }
  Status remove(const Caller&, const std::string& path) override { return nothing_at(path); }
  Status access(const Caller&, const std::string&, int) override { return ok(); }
  Status restore(const Caller&, const std::vector<RestoreStep>& steps, RestoreCourse&) override {
    return nothing_at(steps.front().path);
  }
  Result<Hold> begin_snapshot(const std::string&) override { return Hold(); }
  Status replace_tree(const std::string&, const Exchange& exchange) override {
    std::vector<std::string> gone;
    TRY(exchange.act(gone));
    return exchange.tell ? exchange.tell() : ok();
  }
  void refresh(const std::vector<TreeEvent>&) override {}
  void command(const Caller&, const std::string& path, std::string,
               Completion<std::string> reply) override {
    reply.complete(nothing_at(path));
  }
};

}  // namespace

Namespace& no_namespace() {
  static NoNamespace none;
  return none;
}

}  // namespace agentfs
