#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The tour of README.md, its blocks of sh one after the other in one bash, as they stand there.
. "$(dirname "$0")/lib.sh"
need git bwrap

readme=$(cd "$TESTS/../.." && pwd -P)/README.md
[[ -f $readme ]] || skip "$readme is not there"
step "the tour"
# Each block is told by a line with its number, so that a failure says where.
awk '/^## /{tour = /^## A tour/}
  tour && /^```sh$/{block = 1; print "echo \"--- block " ++n "\""; next}
  block && /^```$/{block = 0} block' "$readme" >"$TESTDIR/tour.sh"
expect_has "$(cat "$TESTDIR/tour.sh")" "--- block 5" "blocks of sh in the tour"

mkdir -p "$TESTDIR/home"
ln -s "$MNT" "$TESTDIR/home/agentfs"
output=$(cd "$TESTDIR" && HOME=$TESTDIR/home within 120 bash -e "$TESTDIR/tour.sh" 2>&1) ||
  fail "exit $?: $output"
for piece in "Agents are processes" "[script] I look first." "hello.txt is there: 6 hello.txt" \
  "turn 2 of guide" "Linux" "# exit=0" "frobnicate: no such verb" "dead" "ok "; do
  expect_has "$output" "$piece" "what the tour prints"
done
expect_eq "$(cat "$MNT/workspaces/tour/hello.txt")" hello

step "the tour again"
output=$(cd "$TESTDIR" && HOME=$TESTDIR/home within 120 bash -e "$TESTDIR/tour.sh" 2>&1) ||
  fail "exit $?: $output"
