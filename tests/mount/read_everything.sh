#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Reading all of the mount ends, gives no error and changes nothing.
. "$(dirname "$0")/lib.sh"
need rsync

pid=$(spawn name=reader) || exit 1
expect_ok mkdir "$MNT/workspaces/w"
echo text >"$MNT/workspaces/w/file" || fail "a file in a workspace"
head_before=$(cat "$MNT/sys/journal/head")

step "find and cat"
# shellcheck disable=SC2016
within 60 bash -c 'find "$1" -type f -print0 | xargs -0 cat >/dev/null' - "$MNT" ||
  fail "a file does not read"

step "grep -r"
within 60 grep -r -q "nothing that is anywhere $RANDOM$RANDOM" "$MNT"
expect_eq $? 1 "exit of a grep that finds nothing"

step "tar"
within 60 tar -C "$MNT" -cf "$TESTDIR/all.tar" . || fail "tar"
expect_has "$(tar -tf "$TESTDIR/all.tar")" "./proc/$pid/status" "what tar holds"

step "rsync --checksum"
within 60 rsync -a --checksum "$MNT/" "$TESTDIR/copy/" || fail "rsync"
expect_eq "$(cat "$TESTDIR/copy/workspaces/w/file")" text "the copied file"

step "nothing changed"
expect_eq "$(cat "$MNT/sys/journal/head")" "$head_before" "the journal's head"
