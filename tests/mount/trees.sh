#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds, repositories, copies and editors in /workspaces and /home, as on a plain directory.
# shellcheck disable=SC2012,SC2015,SC2016  # inner shells expand; fail is meant to run for either
. "$(dirname "$0")/lib.sh"
need git make gcc rsync tar

export GIT_CONFIG_GLOBAL=/dev/null
home=$(echo "$MNT"/home/*)
plain=$TESTDIR/plain
mkdir -p "$plain/workspaces" "$plain${home#"$MNT"}"

# What is in a directory: type, mode, size, name, target of a link, hash.
describe() {
  (cd "$1" && find . -name .git -prune -o -printf '%y %m %P %l\n' | sort &&
    find . -name .git -prune -o -type f -print0 | sort -z | xargs -0r sha256sum)
}

git init -q --bare "$TESTDIR/bare.git"
git init -q -b main "$TESTDIR/source"
cd "$TESTDIR/source" || exit 1
cat >Makefile <<'END'
CFLAGS = -Wall -O1
program: main.o part.o
	$(CC) -o $@ $^
main.o part.o: part.h
clean:
	$(RM) program *.o
END
printf 'int twice(int);\n' >part.h
printf '#include "part.h"\nint twice(int x) { return 2 * x; }\n' >part.c
cat >main.c <<'END'
#include <stdio.h>
#include "part.h"
int main(void) { return printf("%d\n", twice(21)) < 0; }
END
mkdir -p docs/deep && echo text >docs/deep/file && ln -s deep/file docs/link
echo 'echo run' >script && chmod 0755 script
git add -A && git commit -qm first && git push -q "$TESTDIR/bare.git" main || fail "the source"
git --git-dir "$TESTDIR/bare.git" symbolic-ref HEAD refs/heads/main
cd "$TESTDIR" || exit 1

for top in "$MNT/workspaces" "$home"; do
  where=${top#"$MNT"}
  w=$top/site
  step "git clone in $where"
  expect_ok git clone -q "$TESTDIR/bare.git" "$w"
  expect_eq "$(describe "$w")" "$(describe "$TESTDIR/source")" "what was cloned"
  expect_eq "$(git -C "$w" status --porcelain)" "" "status of a fresh clone"

  step "git at work in $where"
  echo more >>"$w/part.h"
  expect_eq "$(git -C "$w" status --porcelain)" " M part.h" "status after a change"
  expect_ok git -C "$w" checkout -q -- part.h
  expect_eq "$(git -C "$w" status --porcelain)" "" "status after a checkout"
  git -C "$w" mv script tool && git -C "$w" commit -qam second || fail "git commit"
  expect_ok git -C "$w" branch side HEAD~1
  expect_ok git -C "$w" checkout -q side
  [[ -x $w/script && ! -e $w/tool ]] || fail "git checkout of a branch"
  expect_ok git -C "$w" checkout -q main
  expect_ok git -C "$w" gc -q
  expect_ok git -C "$w" fsck --strict
  expect_ok git -C "$w" push -q origin +main:refs/heads/pushed

  step "make in $where"
  expect_ok make -s -C "$w"
  expect_eq "$("$w/program")" 42 "the program that was built"
  expect_has "$(make -C "$w")" "up to date" "a second make"
  touch "$w/part.h"
  expect_has "$(make -C "$w")" "main.o" "make after a touch"
  expect_ok make -s -C "$w" clean

  step "rsync in $where"
  expect_ok rsync -a --delete "$TESTDIR/source/" "$w-copy/"
  expect_eq "$(describe "$w-copy")" "$(describe "$TESTDIR/source")" "what came in"
  expect_eq "$(rsync -ai --exclude .git "$TESTDIR/source/" "$w-copy/")" "" "a second rsync in"
  expect_ok rsync -a "$w-copy/" "$plain$where/"
  expect_eq "$(describe "$plain$where")" "$(describe "$TESTDIR/source")" "what went out"
  expect_eq "$(rsync -aic "$w-copy/" "$plain$where/")" "" "a second rsync out"

  step "tar, cp -a and patch in $where"
  mkdir "$w-tar" && tar -C "$TESTDIR/source" -cf - . | tar -C "$w-tar" -xpf - || fail "tar"
  expect_eq "$(describe "$w-tar")" "$(describe "$TESTDIR/source")" "what tar made"
  expect_ok cp -a "$w-tar" "$w-cp"
  expect_eq "$(describe "$w-cp")" "$(describe "$TESTDIR/source")" "what cp -a made"
  if command -v patch >/dev/null; then
    printf -- '--- a/part.h\n+++ b/part.h\n@@ -1 +1 @@\n-int twice(int);\n+long twice(int);\n' |
      patch -s -p1 -d "$w-cp" || fail "patch"
    expect_eq "$(cat "$w-cp/part.h")" "long twice(int);"
  fi

  step "vim in $where"
  if command -v vim >/dev/null; then
    for how in auto yes no; do
      vim -u NONE -N -i NONE -es -c "set backup writebackup backupcopy=$how" \
        -c "%s/twice/thrice/e|%s/thrice/twice/" -c wq "$w/part.c" </dev/null || fail "vim, $how"
    done
    rm -f "$w/part.c~"
    expect_eq "$(git -C "$w" status --porcelain)" "" "status after vim"
  fi

  step "3,000 files in $where"
  mkdir "$w-many" && (cd "$w-many" && seq -f 'file-%.0f' 3000 | xargs touch) || fail "touch"
  expect_eq "$(find "$w-many" -type f | wc -l)" 3000 "files of find"
  expect_eq "$(ls -f "$w-many" | sort -u | wc -l)" 3002 "names of ls"
  (cd "$w-many" && seq -f 'file-%.0f' 1 2 3000 | xargs rm) || fail "rm of each second"
  expect_eq "$(ls "$w-many" | wc -l)" 1500 "names that are left"

  step "mv and rm -rf in $where"
  expect_ok mv "$w-tar" "$w-moved"
  expect_eq "$(describe "$w-moved")" "$(describe "$TESTDIR/source")" "what mv moved"
  expect_errno ENOENT ls "$w-tar"
  expect_ok rm -rf "$w" "$w-copy" "$w-moved" "$w-cp" "$w-many"
  expect_eq "$(cd "$top" && echo site*)" "site*" "what rm -rf leaves"
done

if grep -q '^feature="statx".on$' "$MNT/sys/fs/stats" && [ "$(stat -c %W "$TESTDIR")" != 0 ]; then
  step "when a file was made"
  echo made >"$home/made"
  born=$(stat -c %W "$home/made")
  [ "$born" -gt 0 ] && [ "$born" -le "$(date +%s)" ] || fail "made at $born"
  touch -d 2001-01-01 "$home/made"
  echo more >>"$home/made"
  expect_eq "$(stat -c %W "$home/made")" "$born" "made at, of a file that was changed"
  rm "$home/made"
fi

step "between /home and /workspaces, and out of the mount"
mkdir "$MNT/workspaces/from" && echo text >"$MNT/workspaces/from/file"
expect_ok mv "$MNT/workspaces/from/file" "$home/file"
expect_eq "$(cat "$home/file")" text "a file moved to /home"
expect_ok mv "$home/file" "$plain/file"
expect_eq "$(cat "$plain/file")" text "a file moved out"

step "git clone to the path of a workspace that is not there yet"
expect_ok git clone -q "$TESTDIR/bare.git" "$MNT/workspaces/cloned"
expect_eq "$(git -C "$MNT/workspaces/cloned" log --oneline | wc -l)" 1 "commits"
plain_bytes=$(find "$STATE/trees" -path '*/cloned/part.h' -exec cat {} +)
expect_eq "$plain_bytes" "int twice(int);" "the plain file under the state"
