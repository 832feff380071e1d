// SPDX-License-Identifier: MIT
// The kinds of record that there are. The state of the kernel is the fold of these
// (kernel/fold.h); a kind that is not here is refused.
//
// Data members, `pid` is the process that a record is about; [x] may be left out. What the kernel
// fills in under its lock (pid of a spawn, number of a call) is in the Record that commit() gives
// back. Within a run, `run` may be given: EBUSY where another one is under way by now. ESRCH: the
// process is dead or reaped. EBUSY: its state forbids it now.
#pragma once

#include <string_view>

namespace agentfs::kind {

// --- processes
// [pid] parent name user uid [init] profile model workspace cwd priority deadline limits [task]
// [from]. pid and an empty name are filled in. A task is queued as the first message.
inline constexpr std::string_view kProcessSpawn = "process.spawn";
// pid state: "stopped" (holds the next step back), "draining" (ends with the turn under way),
// "waiting-approval", or "running" (goes on: the state that run and queue give).
inline constexpr std::string_view kProcessState = "process.state";
inline constexpr std::string_view kProcessSet = "process.set";          // pid key value
inline constexpr std::string_view kProcessContext = "process.context";  // pid name text kept
// pid reason [text]. Ends the run under way with the reason as its outcome.
inline constexpr std::string_view kProcessExit = "process.exit";
inline constexpr std::string_view kProcessReset = "process.reset";  // pid; only when idle
inline constexpr std::string_view kProcessReap = "process.reap";    // pid; only when dead

// --- the conversation
// pid text from: a user message behind the others; an idle process becomes queued.
inline constexpr std::string_view kMessageQueue = "message.queue";
// pid: within a run, takes all queued messages up into the conversation. (run.begin does, too.)
inline constexpr std::string_view kMessageTake = "message.take";
// pid role text [calls: [{id name arguments}]] [call_id] [from]: what model.end and call.end do
// not add themselves.
inline constexpr std::string_view kMessageAdd = "message.add";

// --- runs. A run is under way from run.begin to run.end, run.redirect or process.exit.
// pid: takes the queued messages up; the state becomes running. EBUSY where nothing is queued.
inline constexpr std::string_view kRunBegin = "run.begin";
// pid outcome text. Calls that have not ended become cancelled, each with a tool message. The
// state becomes idle, or queued where messages wait; a draining process becomes dead (reason
// "terminated").
inline constexpr std::string_view kRunEnd = "run.end";
// pid text from: ends the run under way with outcome "redirected" and queues the text behind the
// others: the next run takes all of them up, and this is the last word.
inline constexpr std::string_view kRunRedirect = "run.redirect";

// --- the model. model.begin: pid [model]; state waiting-model, run.model_call_open. EBUSY while
// stopped or draining; EDQUOT, and the process is ended, where a budget is spent.
inline constexpr std::string_view kModelBegin = "model.begin";
// pid [failed] [tokens_in] [tokens_out] [tokens_cached] [micro_usd] [retries] [model] [text]
// [calls: [{id name arguments}]]. Charges usage, counts a turn (unless failed); with text or calls
// appends the assistant message; each call becomes an entry of the ledger, pending, numbered in
// order ("first_call" is filled in where there are calls). State running.
inline constexpr std::string_view kModelEnd = "model.end";
// pid and the usage members of model.end: use of a model outside the agent's own runs.
inline constexpr std::string_view kModelCharge = "model.charge";

// --- tool calls. call.begin: pid and `call`, the number of a pending entry, which becomes running;
// or pid id tool arguments, which makes a new entry (`call` is filled in). State waiting-tool.
inline constexpr std::string_view kCallBegin = "call.begin";
// pid call state ("done" "failed" "interrupted" "cancelled") result [result_blob] [result_size].
// Appends the tool message that tells the model `result`. The last one to end: state running.
inline constexpr std::string_view kCallEnd = "call.end";
// pid workspace turn commit ref paths reached: everything changed up to `reached` is committed.
inline constexpr std::string_view kTurnCommit = "turn.commit";

// workspace record name commit ref paths, or, where there will be none, error: of the checkpoint
// that `record` tells of. As of the checkpoint, everything has been committed.
inline constexpr std::string_view kCheckpointCommit = "checkpoint.commit";

// --- what else is told: the author's process is the subject
// tree.<operation>: path [bytes], told of every change below a data tree. Operations:
//   create mkdir symlink mknod remove; link: other, the name that there was
//   remove with `taken_back`: a directory that an operation had made before it was refused; that
//     version (0: none) is in the trash again
//   rename: other, the new name [exchange: the two have changed places; own, of a whole workspace
//     that had its path, or the other's, after another one: the uid that alone takes along what was
//     kept up to version `since`, of the other `other_since`]
//   open: may write from now on; write: the bytes since the last row, or, where they went past the
//     daemon, those by which the file grew [writers: so many had it open; found_at_start: what was
//     never closed before the daemon died]
//   truncate, also by an open with O_TRUNC; attributes: before and after, objects of those of size,
//     mode ("0644"), uid, gid, atime and mtime ("seconds.nanoseconds") that were set
//   xattr: name, bytes of the value [removed]
//   interrupted: of, an operation [other]: the daemon was killed before it could tell of it, and it
//     may have been done; it was where it has `kept`; there: what it makes or leaves is there
//   fork: other, the tree that it is a fork of, state [checkpoint: the name, of one from before]
//   checkpoint: name, state [reached: is to be a commit of all changes up to there]
//   discard: of a whole tree or, with name and state, of a checkpoint
//   rollback: name, state, undo (the checkpoint that undoes it), tops (names that may have changed)
//   with `fold`, the number of an exec.begin: what that command has changed on an overlay, told
//     once a path as it ends
//   merge: other, the fork; the changes that it makes are told one by one, each with `merge`;
//     replaced: kept, what one of them took the place of
//   import: source (of the host), paths (their number); rebase: paths; pin: bytes; commit,
//   uncommit:
//     of each path, host, what was made so in the directory; of the workspace, unfinished: why one
//     that a crash cut short could not be ended
// remove, rename (of what had the new name), truncate and write may have `kept`: what was there
//   before, {number type size [held] mode modified [target]}, with type "file" (in STATE/past),
//   "empty", "link" or "directory"; or {reason} why it was not kept. It becomes a version of the
//   path.
inline constexpr std::string_view kTreePrefix = "tree.";
// path kept: found in STATE/past after a crash, without a row of its own.
inline constexpr std::string_view kHistoryRecovered = "history.recovered";
// versions (numbers) reason ("age" "space" "asked" "missing") bytes: forgotten for good.
inline constexpr std::string_view kHistoryDrop = "history.drop";
// number path reason digest bytes has_base: an agent was not let write over what another had
// changed; what it would have written is in STATE/conflicts/<number>.
inline constexpr std::string_view kConflictKeep = "conflict.keep";
// number how ("ours" "theirs" "merged" "drop" "age" "space" "missing"): it is over.
inline constexpr std::string_view kConflictEnd = "conflict.end";
inline constexpr std::string_view kDocumentSave = "document.save";      // path bytes hash
inline constexpr std::string_view kDocumentRemove = "document.remove";  // path
inline constexpr std::string_view kControlWrite = "control.write";      // path bytes [text]
inline constexpr std::string_view kExecBegin = "exec.begin";            // command cwd device
// command exit signal ended_by elapsed_ms. Where it worked on an overlay: fs ("fast"), fold
// ("folded" "dropped" "kept" "shown"), paths (their number), conflicts, begin (the record of its
// beginning); ended_by "crash": the daemon died, and a start has ended it.
inline constexpr std::string_view kExecEnd = "exec.end";

// path (of a workspace or home) or uid; bytes inodes: what it may hold from now on, 0 without a
// limit. A rename of the tree takes its limits along, a fork inherits them.
inline constexpr std::string_view kQuotaSet = "quota.set";

// text: what a start found that should not be: a store ahead of the journal, another key.
inline constexpr std::string_view kStateProblem = "state.problem";

// What has happened already, ends something or frees space: told even when the disk is full.
bool must_be_told(std::string_view kind);

}  // namespace agentfs::kind
