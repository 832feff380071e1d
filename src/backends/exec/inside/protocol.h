// SPDX-License-Identifier: MIT
// What the daemon and agentfs-sandbox say to each other. Header-only: the program links no room.
//
// The daemon starts the program with a specification in kSpecFd (read-only memory: it shows up in
// no process list and in no environment) and a SOCK_SEQPACKET in kControlFd. Each message on the
// socket is a letter and a text:
//   program -> daemon   "r"               stands at the gate; nothing of the command has run
//   daemon -> program   "g"               go
//   program -> daemon   "x3"  "s9"        the command ended: exit status, or signal number
//   program -> daemon   "e2 /x: ..."      it could not be run: errno, and the sentence
#pragma once

namespace agentfs::exec {

inline constexpr int kControlFd = 3;
inline constexpr int kSpecFd = 4;
inline constexpr int kInfoFd = 5;  // bubblewrap's --info-fd
inline constexpr int kFirstUnusedFd = 6;

// Where the program lies inside the sandbox.
inline constexpr const char kProgramInside[] = "/run/agentfs/sandbox";

enum class Message : char { ready = 'r', go = 'g', exited = 'x', signalled = 's', error = 'e' };

// The specification is a sequence of fields: this letter, the value, a NUL.
enum class Field : char {
  command = 'c',
  directory = 'd',       // the working directory
  environment = 'e',     // NAME=value; repeated
  writable = 'w',        // a directory below which it may write; repeated
  network = 'n',         // present where it is granted
  address_space = 'a',   // bytes, for RLIMIT_AS
  processes = 'p',       // for RLIMIT_NPROC
  file_bytes = 'f',      // for RLIMIT_FSIZE
  user = 'U',            // "uid gid group group ...": whom to become; not there: nobody else
  overlay_inside = 'I',  // where an overlay is to be seen inside, with the three below
  overlay_lower = 'L',
  overlay_upper = 'P',
  overlay_work = 'W',
  group_threads = 'g',  // a cgroup (v1) to make and to join; repeated
  group_unified = 'u',  // a cgroup (v2) to make and to join
  group_setting = 's',  // /path/of/file=value, written before joining; repeated
};

}  // namespace agentfs::exec
