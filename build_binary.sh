#!/usr/bin/env bash
# From a checkout to dist/nym-client: one file that needs no Python. Tries it before it says so.
set -euo pipefail
cd "$(dirname "$0")"

scripts/prepare
echo "build: packing dist/nym-client" >&2
# The same commit gives the same bytes; PyInstaller's memory of other builds stays out of it.
export PYTHONHASHSEED=0 PYINSTALLER_CONFIG_DIR=$PWD/build/pyinstaller-config
.venv/bin/pyinstaller --noconfirm --log-level ERROR --distpath dist --workpath build/pyinstaller spec/nym-client.spec
dist/nym-client --version
echo "build: dist/nym-client is ready, $(du -h dist/nym-client | cut -f1)B" >&2
