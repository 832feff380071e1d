#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds the newest libfuse of the distribution's development suite as a private static library
# with io_uring, in BUILD/fuse/install; scripts/deps runs it. Its package sources are asked of the
# mirror that this machine installs from, and are checked against the distribution's own keyring.
#
#   scripts/lib/fuse_library.sh BUILD
#
# Says nothing when it is there. One line and 1 when it cannot be had.
set -euo pipefail
folder=$1/fuse
patience=120 # seconds for all of it: the distribution's library does, too

give_up() {
  printf 'scripts/deps: no private libfuse: %s; the distribution'\''s is used\n' "$1" >&2
  printf '%s\n' "$1" >"$folder/gave-up" 2>/dev/null || true
  exit 1
}

# The suite that the newest packages enter, and the key of this distribution.
choose_suite() {
  # shellcheck source=/dev/null
  . /etc/os-release
  case $ID in
    debian) suite=sid keyring=/usr/share/keyrings/debian-archive-keyring.gpg ;;
    ubuntu) suite=devel keyring=/usr/share/keyrings/ubuntu-archive-keyring.gpg ;;
    *) give_up "its sources are known for Debian and Ubuntu only (this is $ID)" ;;
  esac
  # shellcheck disable=SC2016  # apt's own variables
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
    "Release: $VERSION_CODENAME" 2>/dev/null | sed -n 1p)
  [[ -n $mirror ]] || give_up "apt knows no mirror; apt-get update would do"
}

fetch() {
  rm -rf "$folder/work"
  mkdir -p "$folder/work/lists/partial" "$folder/work/archives/partial"
  printf 'Types: deb-src\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' \
    "$mirror" "$suite" "$keyring" >"$folder/work/src.sources"
  local apt=(apt-get -q -o Dir::Etc::sourcelist="$folder/work/src.sources"
    -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists="$folder/work/lists"
    -o Dir::Cache="$folder/work" -o Debug::NoLocking=1 -o Acquire::Retries=0
    -o Acquire::http::Timeout=10 -o Acquire::https::Timeout=10 -o Acquire::Languages=none)
  "${apt[@]}" update && (cd "$folder/work" && "${apt[@]}" source fuse3)
}

compile() {
  local source
  source=$(find "$folder/work" -maxdepth 1 -type d -name 'fuse3-3.*' | sed -n 1p)
  rm -rf "$folder/install"
  meson setup "$folder/work/build" "$source" --prefix="$folder/install" --libdir=lib \
    --buildtype=release -Ddefault_library=static -Dutils=false -Dexamples=false -Dtests=false \
    -Duseroot=false -Denable-io-uring=true &&
    grep -q HAVE_URING "$folder/work/build/fuse_config.h" &&
    ninja -C "$folder/work/build" install
  mkdir "$folder/install/examples" # what scripts/bench compares with
  cp "$source"/example/{passthrough_hp.cc,passthrough_helpers.h,cxxopts.hpp} \
    "$folder/install/examples"
}

main() {
  [[ ! -e $folder/install/lib/pkgconfig/fuse3.pc ]] || return 0
  mkdir -p "$folder" 2>/dev/null || give_up "$folder: cannot be made"
  [[ -w $folder ]] || give_up "$folder: not writable"
  exec 9>"$folder/lock"
  flock 9
  [[ ! -e $folder/install/lib/pkgconfig/fuse3.pc ]] || return 0
  choose_suite
  export -f fetch compile
  export folder mirror suite keyring
  timeout "$patience" bash -eo pipefail -c fetch >"$folder/log" 2>&1 ||
    give_up "its source cannot be fetched ($folder/log)"
  timeout "$patience" bash -eo pipefail -c compile >>"$folder/log" 2>&1 ||
    { rm -rf "$folder/install"; give_up "it does not build ($folder/log)"; }
  rm -rf "$folder/work" "$folder/gave-up"
}

main
