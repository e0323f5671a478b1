#!/usr/bin/env bash
# install-test-deps.sh gets what the tests need beside Go: a C compiler, for -race, and
# servers. As root on Debian it installs compiler and MariaDB with apt. Without root it
# unpacks MariaDB into a cache. A real MySQL is always unpacked there, if it is to be had.
# It does nothing for what is here already, and fails if something is still missing.
set -euo pipefail

scripts=$(dirname "$(readlink -f "$0")")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/ostiary-auth
PATH=$PATH:/usr/sbin
missing=()

has_compiler() {
	# CC may hold flags.
	# shellcheck disable=SC2046
	echo '#include <stdlib.h>' | $(go env CC) -x c -c -o /dev/null - 2>/dev/null
}

runs() { # says the version of a server that runs
	"$1" --no-defaults --version 2>/dev/null
}

has_mariadb() {
	runs mariadbd >/dev/null || runs "$cache/mariadb/mariadbd" >/dev/null
}

has_mysql() {
	runs "$cache/mysql/mysqld" >/dev/null || { version=$(runs mysqld) && [[ $version != *MariaDB* ]]; }
}

install() { # as root; false if apt cannot, or would have to remove something
	[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
	if [ -z "${updated:-}" ]; then
		updated=1
		apt-get -qq update || true # one broken source is no reason not to try the others
	fi
	echo "installing $*"
	DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends --no-remove "$@" >/dev/null
}

mkdir -p "$cache"
exec 8>"$cache/install.lock"
flock 8

if ! has_compiler; then
	install gcc libc6-dev || true
	has_compiler || missing+=("a C compiler, which go test -race needs: as root, apt-get install gcc libc6-dev")
fi
if [ -n "${AUTH_TEST_MYSQL_DSN:-}" ]; then
	echo "the servers of AUTH_TEST_MYSQL_DSN are used, and no others"
else
	if ! has_mariadb; then
		install mariadb-server-core || "$scripts/get-mariadb.sh" "$cache/mariadb" || true
		has_mariadb || missing+=("a MariaDB server: as root, apt-get install mariadb-server-core; or set AUTH_TEST_MYSQL_DSN")
	fi
	if ! has_mysql; then
		status=0
		"$scripts/get-mysql.sh" "$cache/mysql" || status=$?
		case $status in
		0) ;;
		3) echo "real MySQL: not to be had here" ;;
		*) exit "$status" ;;
		esac
	fi
fi

if [ ${#missing[@]} -gt 0 ]; then
	printf 'missing: %s\n' "${missing[@]}" >&2
	exit 1
fi
