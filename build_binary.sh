#!/usr/bin/env bash
# From a checkout to dist: nym-client, one file that needs no Python, and a wheel for who has one.
# Tries the file before it says so.
set -euo pipefail
cd "$(dirname "$0")"

scripts/prepare
rm -rf dist build/lib* build/bdist* # what a former build left in them would be packed
# The same commit gives the same bytes; PyInstaller's memory of other builds stays out of it.
export PYTHONHASHSEED=0 PYINSTALLER_CONFIG_DIR=$PWD/build/pyinstaller-config
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || echo 1580515200)
export SOURCE_DATE_EPOCH

echo "build: packing dist/nym-client" >&2
.venv/bin/pyinstaller --noconfirm --log-level ERROR --distpath dist --workpath build/pyinstaller spec/nym-client.spec
.venv/bin/pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .

dist/nym-client --version
(cd dist && find . -type f ! -name SHA256SUMS -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum > SHA256SUMS)
echo "build: dist/nym-client is ready, $(du -h dist/nym-client | cut -f1)B" >&2
