#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Bad input gets the errno that says which kind of no, a sentence that names the word and says what
# would do, and changes nothing.
# shellcheck disable=SC2012,SC2015,SC2016  # inner shells expand; fail is meant to run for either
. "$(dirname "$0")/lib.sh"
need python3

# refused ERRNO FILE TEXT PIECE...: the line fails, the pieces are in the sentence.
refused() {
  local name=$1 file=$2 text=$3 piece newest
  shift 3
  expect_refused "$name" "$text" "$MNT/$file"
  newest=$(tail -n 1 "$MNT/proc/self/errors")
  expect_has "$newest" "	$name	/$file	" "errno and file after '$text'"
  for piece in "$@"; do expect_has "$newest" "$piece" "the sentence after '$text'"; done
}

mkdir "$MNT/workspaces/website" || fail "a workspace"
script_model player <<'END'
{"tasks": [{"match": "*", "steps": [{"text": "Done."}]}]}
END
pid=$(spawn name=subject workspace=website model=player limits=turns=9) || exit 1
echo hello >"$MNT/proc/$pid/chat"
expect_has "$(cat "$MNT/proc/$pid/wait")" Done "the answer"
object_before=$(cat "$MNT/proc/$pid/_object.json")
head_before=$(cat "$MNT/sys/journal/head")

step "verbs"
refused EINVAL "proc/$pid/ctl" frobnicate frobnicate "no such verb" cancel reap
refused EINVAL "proc/$pid/ctl" KILL KILL kill
refused EINVAL "proc/$pid/ctl" nice nice missing "nice N would do"
refused EINVAL "proc/$pid/ctl" redirect redirect missing
refused EINVAL "proc/$pid/ctl" send send missing
refused EINVAL "proc/$pid/ctl" "kill now" now "kill would do"
refused EINVAL "proc/$pid/ctl" "nice x" x -20 19
refused EINVAL "proc/$pid/ctl" "nice 1.5" 1.5
refused EINVAL "proc/$pid/ctl" "nice 20" 20 19
refused EINVAL "proc/$pid/ctl" "nice -21" -21 -20
refused EINVAL "proc/$pid/ctl" "nice 99999999999999999999" 99999999999999999999
refused EINVAL "proc/$pid/ctl" "deadline yesterday" yesterday 30m
refused EBUSY "proc/$pid/ctl" reap dead

step "settings"
refused EINVAL "proc/$pid/priority" high high 19
refused EINVAL "proc/$pid/priority" 20 20
refused EINVAL "proc/$pid/limits" tokens=many many
refused EINVAL "proc/$pid/limits" tokens=-1 -1
refused EINVAL "proc/$pid/limits" tokns=1 tokns tokens
refused EINVAL "proc/$pid/deadline" soon soon
refused EINVAL "proc/$pid/name" "" name
refused EINVAL "proc/$pid/name" "A Name" "A Name"
refused EINVAL "proc/$pid/cwd" /etc /etc /workspaces
refused ENOENT "proc/$pid/cwd" /workspaces/none none
refused ENOENT "proc/$pid/model" playr playr "did you mean player"
refused ENOENT "proc/$pid/profile" defalt defalt default

step "spawn lines"
refused EINVAL proc/clone nme=x nme "did you mean name" workspace
refused EINVAL proc/clone fixer fixer key=value
refused EINVAL proc/clone name= name
refused EINVAL proc/clone "name=two words" words
refused EINVAL proc/clone priority=high high
refused EINVAL proc/clone priority=20 20 19
refused EINVAL proc/clone limits=tokens=x tokens
refused EINVAL proc/clone deadline=soon soon
refused ENOENT proc/clone workspace=websit websit "did you mean website" mkdir
refused ENOENT proc/clone workspace=../website ../website
refused ENOENT proc/clone model=playe playe "did you mean player"
refused ENOENT proc/clone profile=defaul defaul default

refused ENOENT proc/clone workspace=/workspaces/website/x /workspaces/website/x
refused ENOENT proc/clone workspace=/home/website /home/website

step "too long, NUL, not UTF-8"
expect_errno EMSGSIZE bash -c 'head -c 1048576 /dev/zero | tr "\0" x >"$1"' - "$MNT/proc/$pid/ctl"
expect_has "$(tail -n 1 "$MNT/proc/self/errors")" 65536
for file in "proc/$pid/ctl" "proc/$pid/name" "proc/$pid/chat" proc/clone dev/local/exec; do
  expect_errno EINVAL bash -c 'printf "a\0b\n" >"$1"' - "$MNT/$file"
  expect_has "$(tail -n 1 "$MNT/proc/self/errors")" NUL "the sentence about $file"
  expect_errno EINVAL bash -c 'printf "caf\xe9!\n" >"$1"' - "$MNT/$file"
  expect_has "$(tail -n 1 "$MNT/proc/self/errors")" "text in UTF-8 would do" "the sentence about $file"
done

step "names"
for name in proc/99 proc/x proc/-1 proc/00001 proc/$pid/none proc/$pid/calls/99 dev/llm/none \
  dev/none sys/none sys/kernel/none etc/models/none.toml proc/$pid/messages/none; do
  expect_errno ENOENT cat "$MNT/$name"
  expect_errno ENOENT ls "$MNT/$name"
done
expect_errno ENOENT bash -c 'echo x >"$1"' - "$MNT/proc/99/ctl"
expect_errno EPERM mkdir "$MNT/proc/new"
expect_errno EPERM rm "$MNT/proc/$pid/state"
expect_errno EPERM rmdir "$MNT/proc/$pid"
expect_errno EPERM mv "$MNT/proc/$pid/state" "$MNT/proc/$pid/status"
expect_errno EPERM ln -s x "$MNT/dev/llm/link"
expect_errno ENOTDIR cat "$MNT/proc/$pid/state/x"
expect_errno EISDIR bash -c 'echo x >"$1"' - "$MNT/proc/$pid"
if (($(id -u) != 0)); then
  expect_errno EACCES bash -c 'echo x >"$1"' - "$MNT/proc/$pid/state"
fi

step "documents"
for text in 'driver = ' 'driver = 3' 'nonsense = 1' 'driver = "script"' 'driver = "telepathy"' \
  $'base_url = "http://x"\nkey = "secret"' 'context_tokens = -5' '[[[' $'a = 1\na = 2'; do
  expect_errno EBADMSG python3 -c 'import sys
f = open(sys.argv[1], "w"); f.write(sys.argv[2]); f.close()' "$MNT/etc/models/bad.toml" "$text"
  expect_has "$(tail -n 1 "$MNT/proc/self/errors")" "EBADMSG	/etc/models/bad.toml" "after '$text'"
done
for name in $'bad\nname' 'a b.toml' x.txt -x.toml; do
  expect_errno EINVAL touch "$MNT/etc/models/$name"
  expect_has "$(tail -n 1 "$MNT/proc/self/errors")" "models/NAME.toml" "after touch of '$name'"
done
expect_errno EBADMSG mv "$MNT/etc/models/player.toml" "$MNT/etc/models/README"
expect_errno ENOTEMPTY rmdir "$MNT/etc/models"
expect_errno EBUSY rmdir "$MNT/etc/devices"
[[ -e $MNT/dev/llm/bad ]] && fail "a refused document is a model"

step "nothing has changed"
expect_eq "$(cat "$MNT/proc/$pid/_object.json")" "$object_before" "the process"
expect_eq "$(cat "$MNT/sys/journal/head")" "$head_before" "the journal's head"

step "a dead process"
exec 3<>"$MNT/proc/$pid/ctl" 4<"$MNT/proc/$pid/state"
echo kill >"$MNT/proc/$pid/ctl" || fail "kill"
expect_eq "$(cat "$MNT/proc/$pid/state")" dead
refused ESRCH "proc/$pid/chat" hello
refused ESRCH "proc/$pid/ctl" "nice 3"
refused ESRCH "proc/$pid/ctl" "send hello"
refused ESRCH "proc/$pid/name" other
expect_has "$(cat "$MNT/proc/$pid/chat")" Done "the chat of a dead process"
expect_has "$(cat "$MNT/proc/$pid/status")" dead "its status"
[[ -n $(cat "$MNT/proc/$pid/wait") ]] || fail "wait gives no exit reason"
echo reap >&3 || fail "reap: $(tail -n 1 "$MNT/proc/self/errors")"
expect_errno ESRCH bash -c 'echo "nice 3" >&3'
expect_errno ESRCH cat <&3
expect_errno ENOENT cat "$MNT/proc/$pid/state"
exec 3>&- 4<&-
next=$(spawn name=next) || exit 1
((next > pid)) || fail "pid $next after $pid"

step "daemons"
agentfs() { LC_ALL=C "$AGENTFS" "$@" 2>&1; }
mkdir -p "$TESTDIR/other"
echo x >"$TESTDIR/file"
output=$(agentfs mount --state "$STATE" "$TESTDIR/other") && fail "a second daemon on one state"
expect_has "$output" "$(cat "$MNT/sys/kernel/pid")" "the pid of the first daemon"
output=$(agentfs mount --state "$TESTDIR/state" "$MNT") && fail "a second mount on one place"
expect_has "$output" "mounted there already"
mkdir -p "$TESTDIR/foreign/inside"
output=$(agentfs mount --state "$TESTDIR/foreign" "$TESTDIR/other") && fail "a state of others"
expect_has "$output" "an empty directory would do"
mkdir -p "$TESTDIR/state/inside"
output=$(agentfs mount --state "$TESTDIR/state" "$TESTDIR/state/inside") && fail "inside its state"
expect_has "$output" "contain"
rmdir "$TESTDIR/state/inside"
output=$(agentfs mount --state "$TESTDIR/other/state" "$TESTDIR/other") && fail "the state inside"
expect_has "$output" "contain"
output=$(agentfs mount --state "$TESTDIR/state" "$TESTDIR/none") && fail "no such directory"
expect_has "$output" "No such file or directory"
output=$(agentfs mount --state "$TESTDIR/state" "$TESTDIR/file") && fail "a mount on a file"
expect_has "$output" "not a directory"
output=$(agentfs mount --state "$TESTDIR/file" "$TESTDIR/other") && fail "a state that is a file"
expect_has "$output" "$TESTDIR/file"
output=$(agentfs umount "$TESTDIR/other") && fail "umount of what is not mounted"
expect_has "$output" "not mounted"
output=$(agentfs fsck --state "$STATE") && fail "fsck of a state in use"
expect_has "$output" "in use"
output=$(agentfs frobnicate) && fail "an unknown command"
expect_has "$output" frobnicate
output=$(agentfs mount) && fail "mount of nothing"
expect_has "$output" MOUNTPOINT
mountpoint -q "$TESTDIR/other" && fail "something was mounted"
expect_eq "$(cat "$MNT/proc/$next/name")" next "the first daemon goes on"
