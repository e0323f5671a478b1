#!/usr/bin/env bash
# install-browser.sh gets the browser that the tests of e2e/browser drive. It takes the one
# that CHROMIUM names or that is in PATH; else it installs Debian's chromium with apt, as
# root. It fails if there is none in the end.
set -euo pipefail

find_browser() { # says which, as e2e/browser finds it
	if [ -n "${CHROMIUM:-}" ]; then
		command -v "$CHROMIUM"
		return
	fi
	for name in chromium chromium-browser google-chrome; do
		command -v "$name" && return
	done
	return 1
}

fail() {
	echo "missing: $*" >&2
	exit 1
}

if ! browser=$(find_browser); then
	[ -z "${CHROMIUM:-}" ] || fail "CHROMIUM is set, and there is no program at $CHROMIUM"
	command -v apt-get >/dev/null || fail "a Chromium: there is no apt-get here to install one; put one in PATH, or set CHROMIUM to it"
	[ "$(id -u)" = 0 ] || fail "a Chromium: as root, apt-get install chromium; or set CHROMIUM to one"
	echo "installing chromium"
	apt-get -qq update || true # one broken source is no reason not to try the others
	DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends --no-remove chromium >/dev/null ||
		fail "a Chromium: apt-get could not install chromium"
	browser=$(find_browser) || fail "a Chromium: it was installed, and is not in PATH"
fi

# One that does not start, for want of a library, is found here rather than in a test.
version=$("$browser" --version) || fail "a Chromium that runs: $browser --version fails"
echo "the browser is $browser: $version"
