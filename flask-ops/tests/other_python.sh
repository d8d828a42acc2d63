#!/bin/sh
# Run the quick tests of the library with another Python: other_python.sh PROGRAM FOLDER.
# FOLDER holds its environment, and stays for the next run.
set -eu
cd "$(dirname "$0")/.."
environment=../$2
[ -x "$environment/bin/python" ] || "$1" -m venv "$environment"
pip="$environment/bin/python -m pip --disable-pip-version-check --quiet install"
for lock in ../requirements.txt ../requirements-dev.txt requirements-build.txt requirements-dev.txt; do
	$pip --require-hashes --requirement "$lock"
done
$pip --no-deps --no-build-isolation --editable .
"$environment/bin/python" -m pytest -p no:cacheprovider --quiet --numprocesses=3 --dist=loadfile -m "not system" --timeout=30
