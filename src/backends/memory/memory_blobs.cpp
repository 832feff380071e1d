// SPDX-License-Identifier: MIT
#include <map>

#include "backends/memory/memory.h"
#include "base/hash.h"
#include "base/mutex.h"
#include "base/text.h"

namespace agentfs {
namespace {

class MemoryBlobs final : public BlobStore {
 public:
  Result<std::string> put(std::string_view bytes) override {
    std::string hash = blake2b(bytes);
    const Lock lock(mutex_);
    blobs_.try_emplace(hash, bytes);
    return hash;
  }

  Result<std::string> get(std::string_view hash) const override {
    const Lock lock(mutex_);
    const auto found = blobs_.find(hash);
    if (found == blobs_.end()) return fail(ENOENT, "blob: no blob {}", text::shown(hash));
    return found->second;
  }

 private:
  mutable Mutex<Rank::store> mutex_;
  std::map<std::string, std::string, std::less<>> blobs_ GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<BlobStore> make_memory_blobs() { return std::make_unique<MemoryBlobs>(); }

}  // namespace agentfs
