#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Programs that read all of the mount end within seconds, see exact sizes and change nothing, with
# agents, calls, a run under way and plain trees in it.
# shellcheck disable=SC2012,SC2015,SC2016  # inner shells expand; fail is meant to run for either
. "$(dirname "$0")/lib.sh"
need rsync tar python3

# What moves by itself, so that a second copy finds it changed.
moving='^(sys/kernel/(clock|uptime|metrics|digest)|sys/fs/stats|sys/syscalls/.*)$'

script_model busy <<'END'
{"tasks": [
  {"match": "wait", "steps": [{"text": "", "calls": [
    {"name": "exec", "arguments": {"command": "sleep 280"}}]}, {"text": "Done."}]},
  {"match": "*", "steps": [
  {"text": "I look.", "calls": [{"name": "list", "arguments": {"path": "."}},
    {"name": "exec", "arguments": {"command": "seq 500"}}]},
  {"text": "Done."}]}]}
END
for name in one two three; do
  mkdir "$MNT/workspaces/$name" || fail "a workspace"
  pid=$(spawn name="$name" workspace="$name" model=busy) || exit 1
  echo "work on $name" >"$MNT/proc/$pid/chat" || fail "chat"
  expect_has "$(cat "$MNT/proc/$pid/wait")" Done "the answer"
done
waiting=$(spawn name=waits workspace=one model=busy) || exit 1
echo wait >"$MNT/proc/$waiting/chat" || fail "chat"
wait_until 20 is "$MNT/proc/$waiting/state" waiting-tool
for number in {1..50}; do echo "$number" >"$MNT/workspaces/two/file-$number"; done
mkdir -p "$MNT/workspaces/two/a/b c/d" && echo deep >"$MNT/workspaces/two/a/b c/d/file"
ln -s ../two "$MNT/workspaces/three/link" || fail "a link"
truncate -s 1M "$MNT/workspaces/three/hole"

head_before=$(cat "$MNT/sys/journal/head")

step "find and cat"
within 60 bash -c 'find "$1" -type f -print0 | xargs -0 cat >"$2"' - "$MNT" "$TESTDIR/all" ||
  fail "a file does not read"

step "sizes of find and of cat"
find "$MNT" -type f -printf '%s %P\n' | sort -k 2 | grep -Ev " ${moving#^}" >"$TESTDIR/sizes"
while read -r size name; do
  seen=$(wc -c <"$MNT/$name")
  ((seen == size)) || fail "$name: find says $size, cat gives $seen"
done <"$TESTDIR/sizes"
(($(wc -l <"$TESTDIR/sizes") > 200)) || fail "only $(wc -l <"$TESTDIR/sizes") files are listed"

step "ls -lR, du, grep -r"
within 60 ls -lR "$MNT" >/dev/null || fail "ls -lR"
within 60 du -s "$MNT" >/dev/null || fail "du"
within 60 grep -r -q "nothing that is anywhere $RANDOM$RANDOM" "$MNT"
expect_eq $? 1 "exit of a grep that finds nothing"
expect_has "$(within 60 grep -rl "work on two" "$MNT/proc")" "/chat" "what grep finds"

step "tar"
within 60 tar -C "$MNT" -cf "$TESTDIR/all.tar" . 2>"$TESTDIR/tar.err" ||
  fail "tar: $(cat "$TESTDIR/tar.err")"
expect_eq "$(cat "$TESTDIR/tar.err")" "" "what tar complains of"
expect_has "$(tar -tf "$TESTDIR/all.tar")" "./proc/$waiting/status" "what tar holds"

step "rsync"
copy() { within 60 rsync -a --checksum --itemize-changes "$MNT/" "$TESTDIR/copy/"; }
first=$(copy 2>&1) || fail "rsync: $first"
find "$MNT" -type f -printf '%P\n' | sort >"$TESTDIR/listed"
(cd "$TESTDIR/copy" && find . -type f -printf '%P\n') | sort | diff - "$TESTDIR/listed" ||
  fail "the copy has other files"
while read -r size name; do
  expect_eq "$(stat -c %s "$TESTDIR/copy/$name")" "$size" "size of the copy of $name"
done <"$TESTDIR/sizes"

step "a second rsync"
second=$(copy 2>&1) || fail "rsync: $second"
while read -r what name; do
  [[ $what == '>f'* ]] || continue
  [[ $name =~ $moving ]] || fail "$name is copied again: $what"
done <<<"$second"

step "zip, cp -a, python's walk"
within 60 cp -a "$MNT/" "$TESTDIR/cp" || fail "cp -a"
within 60 python3 -c 'import os, sys
for top, _, names in os.walk(sys.argv[1]):
    for name in names:
        path = os.path.join(top, name)
        if not os.path.islink(path): open(path, "rb").read()' "$MNT" || fail "python's walk"
if command -v zip >/dev/null; then
  (cd "$MNT" && within 60 zip -qry "$TESTDIR/all.zip" .) || fail "zip"
fi

step "git add of synthetic files"
if command -v git >/dev/null; then
  git init -q "$TESTDIR/repository"
  git --git-dir "$TESTDIR/repository/.git" --work-tree "$MNT" add proc/README sys/kernel etc ||
    fail "git add"
  size=$(git --git-dir "$TESTDIR/repository/.git" cat-file -s :sys/kernel/version)
  expect_eq "$size" "$(stat -c %s "$MNT/sys/kernel/version")" "size of a blob"
fi

step "nothing changed"
expect_eq "$(cat "$MNT/sys/journal/head")" "$head_before" "the journal's head"
expect_has "$(cat "$MNT/sys/journal/verify")" "ok "
expect_eq "$(cat "$MNT/proc/$waiting/state")" waiting-tool "the run under way"
