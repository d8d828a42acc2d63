#!/bin/sh
# Unpack the Prometheus and Alertmanager of Debian's unstable distribution into the folder $1. Nothing is installed.
set -eu
mkdir -p "$1/lists/partial" "$1/archives/partial"
cd "$1"
from=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | sort | head -n 1)
[ -n "$from" ] || { echo "apt knows no source of Debian's packages" >&2; exit 1; }
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $from sid main" >sources.list
unstable() {
	apt-get --quiet=2 -o Dir::Etc::SourceList="$PWD/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o Dir::State::Lists="$PWD/lists" -o Dir::State::Status=/dev/null -o Dir::Cache="$PWD" \
		-o APT::Sandbox::User=root "$@"
}
unstable update
unstable download prometheus promtool prometheus-alertmanager
for package in *.deb; do
	dpkg-deb --extract "$package" .
done
rm -r lists archives ./*.deb
