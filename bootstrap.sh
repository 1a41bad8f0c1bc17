#!/bin/sh
# Sets up everything that the project needs on a Debian 12 machine: distribution packages, tools and Python packages.
# A second run finds everything in place and ends within a moment. What is missing is told in one sentence, exit code 3.
# `./bootstrap.sh workshop` also installs what only the project's own tests need: a browser and fonts.
set -eu
cd "$(dirname "$0")"

CACHE=/var/cache/drainproof
PACKAGES="qemu-system-x86 qemu-utils mmdebstrap dnsmasq-base nftables iproute2 util-linux genisoimage cpio xz-utils \
e2fsprogs ca-certificates openssh-client qemu-block-extra"
WORKSHOP="chromium fonts-liberation"
# Unpacked, not installed: their packages would start services on this machine, or clash with another vendor's.
TOOLS="prometheus kubernetes-client"
NEEDED_MIB=4096

refuse() { echo "could not run: $1" >&2; exit 3; }

find_python() {
    for candidate in ${PYTHON:-} python3.11 python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
            echo "$candidate"; return
        fi
    done
}

check_machine() {
    [ "$(id -u)" = 0 ] || refuse "The lab makes network namespaces and installs packages; run as root."
    command -v apt-get >/dev/null || refuse "There is no apt-get; the setup knows Debian 12 only: use such a machine."
    [ -n "$(find_python)" ] || refuse "Python 3.11 is needed; install python3 of Debian 12 or set PYTHON to one."
    mkdir -p "$CACHE"
    for place in . "$CACHE"; do
        free=$(df -Pm "$place" | awk 'NR == 2 { print $4 }')
        [ "$free" -ge "$NEEDED_MIB" ] || refuse "$(readlink -f "$place") has $free MiB free, $NEEDED_MIB are needed; make room."
    done
}

install_packages() {
    missing=""
    for package in $PACKAGES; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok' || missing="$missing $package"
    done
    "$(find_python)" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
    [ -n "$missing" ] || return 0
    echo "installing:$missing" >&2
    update_lists
    # shellcheck disable=SC2086  # the list is meant to be split
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >"$CACHE/apt.log" 2>&1 ||
        refuse "apt-get could not install$missing; $CACHE/apt.log says why."
}

update_lists() {
    [ -z "${lists_updated:-}" ] || return 0
    apt-get update -qq >"$CACHE/apt.log" 2>&1 || refuse "apt-get update failed; $CACHE/apt.log says why."
    lists_updated=yes
}

unpack_tools() {
    for tool in $TOOLS; do
        [ ! -e "$CACHE/tools/$tool.unpacked" ] || continue
        echo "unpacking: $tool" >&2
        update_lists
        work=$(mktemp -d "$CACHE/unpack.XXXXXX")
        chmod 755 "$work"
        (cd "$work" && apt-get download -qq "$tool" && dpkg-deb -x ./*.deb tree) >>"$CACHE/apt.log" 2>&1 ||
            refuse "The package $tool could not be had; $CACHE/apt.log says why."
        mkdir -p "$CACHE/tools"
        cp -a "$work/tree/." "$CACHE/tools/"
        rm -rf "$work"
        touch "$CACHE/tools/$tool.unpacked"
    done
}

install_python_packages() {
    python=$(find_python)
    wanted=$(cat requirements/requirements.txt bootstrap.sh | sha256sum)
    [ "$(cat .venv/drainproof.wanted 2>/dev/null)" != "$wanted" ] || return 0
    echo "installing: Python packages" >&2
    "$python" -m venv --clear .venv
    .venv/bin/python -m pip install --disable-pip-version-check --require-hashes -r requirements/requirements.txt \
        >"$CACHE/pip.log" 2>&1 || refuse "pip could not install the pinned packages; $CACHE/pip.log says why."
    write_command
    echo "$wanted" >.venv/drainproof.wanted
}

write_command() {
    cat >.venv/bin/drainproof <<END
#!/bin/sh
PYTHONPATH="$PWD\${PYTHONPATH:+:\$PYTHONPATH}" exec "$PWD/.venv/bin/python" -m drainproof "\$@"
END
    chmod 755 .venv/bin/drainproof
}

case "${1:-}" in
    "") ;;
    workshop) PACKAGES="$PACKAGES $WORKSHOP" ;;
    *) refuse "There is no $1 to set up; call ./bootstrap.sh, or ./bootstrap.sh workshop." ;;
esac
check_machine
install_packages
unpack_tools
install_python_packages
