#!/usr/bin/env bash
# get-galera.sh [DEST] gets what turns MariaDB's server into a node of a Galera cluster:
# this Debian release's provider library and the scripts that copy data between nodes,
# unpacked into DEST, by default the cache in which the tests look for them. The scripts
# need rsync, ss and ps, which it installs with apt as root. Where DEST is complete, nothing
# is done.
set -euo pipefail

dest=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/ostiary-auth/galera}
mkdir -p "$(dirname "$dest")"
exec 9>"$dest.lock"
flock 9

needed=()
command -v rsync >/dev/null || needed+=(rsync)
command -v ss >/dev/null || needed+=(iproute2)
command -v ps >/dev/null || needed+=(procps)
if [ ${#needed[@]} -gt 0 ]; then
	if [ "$(id -u)" != 0 ]; then
		echo "get-galera.sh: missing: ${needed[*]}; as root, apt-get install ${needed[*]}" >&2
		exit 1
	fi
	apt-get -qq update || true # one broken source is no reason not to try the others
	echo "installing ${needed[*]}"
	DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends --no-remove "${needed[@]}" >/dev/null
fi

if [ -r "$dest/libgalera_smm.so" ] && [ -x "$dest/bin/wsrep_sst_rsync" ] && [ -x "$dest/bin/my_print_defaults" ]; then
	exit 0
fi

work=$(mktemp -d "$dest.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists,archives}/partial "$work"/{root,new/bin}

# apt with the system's sources and state, and folders of our own for what it writes.
apt=(apt-get -qq
	-o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work" -o "Dir::Cache::archives=$work/archives"
	-o Debug::NoLocking=1 -o APT::Sandbox::User=root -o Acquire::Languages=none)
"${apt[@]}" update
(cd "$work/archives" && "${apt[@]}" download galera-4 mariadb-server mariadb-client-core)
for package in "$work"/archives/*.deb; do
	dpkg-deb --extract "$package" "$work/root"
done
cp -L "$work/root/usr/lib/galera/libgalera_smm.so" "$work/new/"
cp "$work"/root/usr/bin/{wsrep_sst_*,my_print_defaults} "$work/new/bin/"
rm -rf "$dest"
mv "$work/new" "$dest"
echo "galera: unpacked into $dest"
