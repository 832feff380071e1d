#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# scripts/run brings the mount up and its demo to a good end, twice in a row, and takes it down; a
# checkout at ~/agentfs, where the mount would be, is not hidden by it.
# mount: none
. "$(dirname "$0")/lib.sh"
need cmake git make gcc bwrap

run=$(cd "$TESTS/../.." && pwd -P)/scripts/run
build=$(dirname "$AGENTFS")
[[ $(basename "$build") == release ]] || skip "the demo runs with the release build only"
AGENTFS_BUILD=$(dirname "$build")
export AGENTFS_BUILD AGENTFS_STATE="$TESTDIR/the state" HOME="$TESTDIR/the home"
unset AGENTFS_MOUNT
mkdir -p "$HOME/agentfs"
echo mine >"$HOME/agentfs/precious"

step "a mount over files is refused"
output=$(AGENTFS_MOUNT=$HOME/agentfs within 240 "$run" --no-demo 2>&1) && fail "mounted: $output"
expect_has "$output" "not empty, and the mount would hide what it holds" "the reason"

for turn in first second; do
  step "the $turn run"
  output=$(within 240 "$run" 2>&1) || fail "exit $?: $output"
  expect_has "$output" "4 checks, 1 failed" "the broken program"
  expect_has "$output" "[script]" "the answer of the model"
  expect_has "$output" "4 checks, 0 failed" "the repaired program"
  expect_has "$output" "Next:" "the end"
  expect_eq "$(cat "$HOME/agentfs/precious")" mine "what stood at ~/agentfs"
  mountpoint -q "$HOME/agentfs-mount" || fail "not mounted at ~/agentfs-mount"
done

step "the way down"
expect_ok "$run" --umount
mountpoint -q "$HOME/agentfs-mount" && fail "still mounted"
plain=$(find "$AGENTFS_STATE/trees" -path '*/demo/median.c' -exec cat {} +)
expect_has "$plain" "(count - 1) / 2" "the plain file under the state"
