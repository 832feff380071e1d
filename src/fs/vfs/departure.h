// SPDX-License-Identifier: MIT
// A name that an operation is about to take away. Inside vfs only.
#pragma once

#include <memory>
#include <string>

#include "fs/vfs/data_file.h"
#include "fs/vfs/local_request.h"
#include "fs/vfs/under_way.h"

namespace agentfs::vfs {

// What a workspace or home that is to go, or to have another name, was to be held by: why it is not
// is told to who asks.
Result<Hold> told_to(Request& request, const DataNode& directory, Result<Hold> held);

// Keeps what has the name, before the operation; nothing below .git, whose own objects are its
// history, and neither a file that an operation of the daemon's own has lying ready nor a directory
// that one takes back. Not shared between threads.
class Departure {
 public:
  // `change` is what takes it away. `by_another`: another file takes its place.
  Departure(Request& request, const DataNode& directory, const std::string& name,
            Undertaking& change, bool by_another = false);
  // ESTALE: it is not what the request expects (LocalRequest::expect()).
  const Status& check() const { return is_expected_; }
  // Keeping it has done what the operation would: of a file, where nothing takes its place.
  bool has_gone() const { return kept_.moved; }
  // What came of the operation: what was kept is taken back where it failed.
  Status after(Status done);
  // Adds what was kept to the change's row.
  void tell();

 private:
  void look(LocalRequest& request, const DataNode& directory, const std::string& name);

  DataTree& tree_;
  Undertaking& change_;
  Kept kept_;
  TreeNodeRef remaining_;               // a file that has other names
  std::shared_ptr<DataNode> node_;      // shows one name less than the disk counts
  std::shared_ptr<DataNode> replaced_;  // by agentfs itself: nobody is to write to it any more
  Status is_expected_ = ok();
  ChangingAlone alone_;  // until the name has gone: nobody writes meanwhile
};

}  // namespace agentfs::vfs
