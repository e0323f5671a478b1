#!/usr/bin/env bash
# get-mariadb.sh [DEST] unpacks this Debian release's MariaDB server into DEST, by default
# the cache in which the tests look for it, and changes nothing else. It needs no root.
# DEST/mariadbd then runs the server. Where DEST has one that runs, nothing is done.
set -euo pipefail

dest=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/ostiary-auth/mariadb}
mkdir -p "$(dirname "$dest")"
exec 9>"$dest.lock"
flock 9
if "$dest/mariadbd" --no-defaults --version 2>/dev/null; then
	exit 0
fi

work=$(mktemp -d "$dest.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists,archives}/partial "$work/new/root"

# apt with the system's sources and state, and folders of our own for what it writes:
# it downloads the server and those of its libraries that are not installed.
apt=(apt-get -qq
	-o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work" -o "Dir::Cache::archives=$work/archives"
	-o Debug::NoLocking=1 -o APT::Sandbox::User=root -o Acquire::Languages=none)
"${apt[@]}" update
"${apt[@]}" install --yes --no-install-recommends --download-only mariadb-server-core
for package in "$work"/archives/*.deb; do
	dpkg-deb --extract "$package" "$work/new/root"
done

cat > "$work/new/mariadbd" <<'WRAPPER'
#!/bin/sh
usr=$(dirname "$(readlink -f "$0")")/root/usr
for lib in "$usr"/lib/*-linux-gnu*; do
	export LD_LIBRARY_PATH="$lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
done
exec "$usr/sbin/mariadbd" "$@" --basedir="$usr" --lc-messages-dir="$usr/share/mysql" --character-sets-dir="$usr/share/mysql/charsets"
WRAPPER
chmod +x "$work/new/mariadbd"
rm -rf "$dest"
mv "$work/new" "$dest"
"$dest/mariadbd" --no-defaults --version
