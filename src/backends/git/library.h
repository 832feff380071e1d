// SPDX-License-Identifier: MIT
// libgit2's handles as values that free themselves, and its errors as ours.
#pragma once

#include <git2.h>

#include <memory>
#include <string_view>

#include "base/error.h"

namespace agentfs::git {

// Keeps libgit2 initialised while it lives. Threads: all.
class Library {
 public:
  Library();
  ~Library();
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  bool ready() const { return ready_; }

 private:
  bool ready_ = false;
};

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* handle) const {
    Free(handle);
  }
};
template <class T, auto Free>
using Handle = std::unique_ptr<T, Freed<Free>>;

using RepositoryHandle = Handle<git_repository, git_repository_free>;
using ReferenceHandle = Handle<git_reference, git_reference_free>;
using CommitHandle = Handle<git_commit, git_commit_free>;
using TreeHandle = Handle<git_tree, git_tree_free>;
using BuilderHandle = Handle<git_treebuilder, git_treebuilder_free>;
using TransactionHandle = Handle<git_transaction, git_transaction_free>;
using SignatureHandle = Handle<git_signature, git_signature_free>;
using IndexHandle = Handle<git_index, git_index_free>;
using ConfigHandle = Handle<git_config, git_config_free>;
using BlobHandle = Handle<git_blob, git_blob_free>;
using OdbHandle = Handle<git_odb, git_odb_free>;
using FilterHandle = Handle<git_filter_list, git_filter_list_free>;

// The error of a libgit2 call that has just returned `result` (below 0) on this thread.
std::unexpected<Error> failure(int result, std::string_view object);

// check(git_x(handle.…), "object"): passes a failure on.
inline Status check(int result, std::string_view object) {
  if (result < 0) return failure(result, object);
  return ok();
}

// The directory of an entry; null where that is null, or no directory.
Result<TreeHandle> tree_of(git_repository* repository, const git_tree_entry* entry);

inline std::string_view bytes_of(const git_blob* blob) {
  return {static_cast<const char*>(git_blob_rawcontent(blob)),
          static_cast<std::size_t>(git_blob_rawsize(blob))};
}

}  // namespace agentfs::git
