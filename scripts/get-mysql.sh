#!/usr/bin/env bash
# get-mysql.sh [DEST] unpacks a real MySQL server, Oracle's, into DEST, by default the
# cache in which the tests look for it, and changes nothing else. It needs no root.
# Debian has that server in sid alone, so its libraries come with it, the C library
# and the loader included. DEST/mysqld then runs the server. Where DEST has one that runs,
# nothing is done. Exit status 3 says that it is not to be had here.
set -euo pipefail

not_here() {
	echo "get-mysql.sh: $*" >&2
	exit 3
}

dest=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/ostiary-auth/mysql}
for tool in apt-get dpkg dpkg-deb flock; do
	command -v "$tool" >/dev/null || not_here "there is no $tool"
done
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] || not_here "there is no $keyring"

mkdir -p "$(dirname "$dest")"
exec 9>"$dest.lock"
flock 9
if "$dest/mysqld" --no-defaults --version 2>/dev/null; then
	exit 0
fi

# The mirror is the one that this machine uses for its own release.
mirror=$(apt-get indextargets --no-release-info --format '$(REPO_URI)' 'Created-By: Packages' | grep -m 1 -E '/debian/?$' || true)
[ -n "$mirror" ] || not_here "apt's sources name no mirror of Debian"

work=$(mktemp -d "$dest.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{sources,state/lists/partial,cache/archives/partial,new/root}
: > "$work/state/status"
echo "deb [signed-by=$keyring] $mirror sid main" > "$work/sources.list"

# apt with one source, nothing installed and folders of our own: it downloads the server
# and all that it depends on.
apt=(apt-get -qq
	-o "Dir::Etc::sourcelist=$work/sources.list" -o "Dir::Etc::sourceparts=$work/sources" -o "Dir::Etc::preferencesparts=$work/sources"
	-o "Dir::State=$work/state" -o "Dir::State::status=$work/state/status" -o "Dir::Cache=$work/cache"
	-o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false)
"${apt[@]}" update || not_here "Debian sid cannot be read"
"${apt[@]}" install --yes --no-install-recommends --download-only mysql-server-core || not_here "Debian sid has no mysql-server-core"
for package in "$work"/cache/archives/*.deb; do
	case ${package##*/} in
	perl* | libperl* | libdb5* | libgdbm* | libc-gconv* | gcc-*-base*) ;; # for other programs than the server
	*) dpkg-deb --extract "$package" "$work/new/root" ;;
	esac
done
rm -rf "$work"/new/root/usr/share/{doc,man,locale,lintian,bug} "$work"/new/root/usr/bin

cat > "$work/new/mysqld" <<'WRAPPER'
#!/bin/sh
usr=$(dirname "$(readlink -f "$0")")/root/usr
lib=$(echo "$usr"/lib/*-linux-gnu*)
loader=$(echo "$lib"/ld-linux*.so.*)
exec "$loader" --library-path "$lib" "$usr/sbin/mysqld" "$@" --basedir="$usr" --lc-messages-dir="$usr/share/mysql" \
	--character-sets-dir="$usr/share/mysql/charsets" --plugin-dir="$usr/lib/mysql/plugin"
WRAPPER
chmod +x "$work/new/mysqld"
"$work/new/mysqld" --no-defaults --version || not_here "what Debian sid has does not run"
rm -rf "$dest"
mv "$work/new" "$dest"
