#!/usr/bin/env bash
# Builds a checkout into dist: nym-client, one file that needs no Python, and a wheel for those who have
# Python. With --standard, it also builds nym-client-standard, for machines that don't let nym-client
# run (docs/one-file.md); on other machines than x86-64 and aarch64 it builds only that one. With --deb,
# it also makes a Debian package of nym-client. It runs each file once before it says that the build is
# ready.
set -euo pipefail
cd "$(dirname "$0")"

standard=() deb=false
for option in "$@"; do
  case $option in
    --standard) standard=(--standard) ;;
    --deb) deb=true ;;
    *) echo "usage: ./build_binary.sh [--standard] [--deb]" >&2; exit 2 ;;
  esac
done
venv=$(scripts/prepare)
rm -rf dist build/lib* build/bdist* # files of an earlier build in them would be packed, too
# Two builds of one commit must have the same bytes: so hashes and times are fixed, and PyInstaller
# gets a cache of its own, without what it has kept of other builds.
export PYTHONHASHSEED=0 PYTHONNODEBUGRANGES=1 PYINSTALLER_CONFIG_DIR=$PWD/build/pyinstaller-config
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || echo 1580515200)
export SOURCE_DATE_EPOCH

echo "build: packing the program" >&2
"$venv/bin/pyinstaller" --noconfirm --log-level ERROR --distpath dist --workpath build/pyinstaller \
  spec/nym-client.spec -- "${standard[@]}"
"$venv/bin/pip" wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .

programs=()
for program in dist/nym-client dist/nym-client-standard; do
  [ -e "$program" ] || continue
  "$program" --version
  programs+=("$program, $(du -h "$program" | cut -f1)B")
done
! $deb || spec/deb/make
(cd dist && find . -type f ! -name SHA256SUMS -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum > SHA256SUMS)
printf 'build: %s is ready\n' "${programs[@]}" >&2
