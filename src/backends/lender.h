// SPDX-License-Identifier: MIT
// Files of the trees whose bytes lie elsewhere until they are needed here.
#pragma once

#include <sys/stat.h>

#include <optional>

#include "base/error.h"
#include "base/file.h"

namespace agentfs {

// A lent file is one of ours on the disk, of the right size, owner, mode and times, that is one
// hole: what it holds is read from a file which is not ours. A mark in the inode says which, so
// that links, renames, forks and versions of it are lent as well.
//
// `file` is a descriptor, O_PATH is enough. Threads: all; may be called under any lock of the
// trees. Errors: EBUSY, with a sentence, where the bytes are not there any more as they were
// recorded; the disk's own.
class Lender {
 public:
  virtual ~Lender() = default;
  virtual bool lends(int file) const = 0;  // also of what its mode closes to its owner
  // Whether files may be lent in trees that do not come from what they are lent of, too.
  virtual bool is_astray() const = 0;
  // What its bytes take where they lie, in blocks of 512 bytes, where they have holes.
  virtual std::optional<blkcnt_t> blocks(int file) const = 0;
  // Whether both stand for the same bytes, be they to be had or not. False, too, where they are
  // recorded apart and would be read from one place all the same; nothing: their bytes tell.
  virtual std::optional<bool> lends_one(int file, int other) const = 0;
  // The bytes, for reading, and how their file was when it was found to be as recorded: what is
  // read of it is, as long as it stays so (is_as_it_was()).
  struct Lent {
    UniqueFd file{};
    struct stat attributes{};
  };
  // EACCES: an ordinary user's file that its mode closes; with its owner's bits it can be told.
  virtual Result<Lent> open(int file) const = 0;
  // Where the bytes lie; nothing for what open() is EACCES for, or is not lent.
  struct Place {
    std::uint32_t import = 0;
    std::size_t entry = 0;
  };
  virtual std::optional<Place> place(int file) const = 0;
  // Sees to it that the bytes stay to be had, whatever becomes of where they lie. The file stays
  // lent. As long as fill() takes, and with no lock either; may be called by many at once.
  // `is_removed`: nothing but the past reads it from now on, which is not worth waiting for the
  // disk, nor a copy of what is large.
  virtual Status preserve(const Place& place, bool is_removed) const = 0;
  // Copies the bytes, as open() gave them, into the file, which is open for reading and writing,
  // and to the disk; it stays lent.
  // Takes as long as it takes, so with no lock that others need; one at a time for a file; may be
  // repeated after a crash. EBUSY, too, where they changed meanwhile. The times are left to the
  // caller.
  virtual Status fill(const Lent& from, int file) const = 0;
  // A file that was filled is nobody's but ours from now on; its mode must let its owner write.
  virtual Status own(int file) const = 0;
  // The file is about to lose all it holds.
  virtual void release(int file) const = 0;
  // `to`, empty and open for writing, becomes lent as `from` is.
  virtual Status copy(int from, int to) const = 0;
};

}  // namespace agentfs
