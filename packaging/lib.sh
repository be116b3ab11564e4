# Functions for the scripts of this directory; sourced by bash, with `set -euo pipefail`.
#
# What is built for a distribution is built and tried in that distribution: in a chroot that
# debootstrap makes once for each suite and that every use copies. Mounts, processes and network are
# in namespaces of their own, so nothing is left behind and no port of this machine is used.

# shellcheck shell=bash
packaging=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(dirname "$packaging")
target=${CARGO_TARGET_DIR:-$repository/target}
chroots=${CHROOTS:-$target/chroots}
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}

die() {
    echo "$*" >&2
    exit 1
}

need() { # COMMAND…: says all that are missing, with the name of Debian's package where it differs
    local command missing=()
    for command; do
        PATH=$PATH:/usr/sbin command -v "$command" >/dev/null || missing+=("$command")
    done
    [ ${#missing[@]} -eq 0 ] || die "missing: ${missing[*]} (make deps-packages)"
}

version() { # of this project, the one place where it is written
    sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$repository/Cargo.toml"
}

base() { # SUITE: makes the chroot that others are copied from, unless it is there; prints it
    local suite=$1 script=$1 root=$chroots/base-$1
    if [ ! -e "$root/.complete" ]; then
        need debootstrap
        rm -rf "$root"
        mkdir -p "$chroots"
        # A suite that this debootstrap does not know yet is made as the unstable one is.
        [ -e "/usr/share/debootstrap/scripts/$suite" ] || script=sid
        echo "debootstrap $suite (once)" >&2
        debootstrap --variant=minbase "$suite" "$root" "$mirror" "$script" \
            >"$chroots/$suite.log" 2>&1 || die "debootstrap $suite failed: $chroots/$suite.log"
        # Services are started by the tests, not by their packages. A snapshot that is served late
        # is as good as a fresh one here.
        printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
        chmod 755 "$root/usr/sbin/policy-rc.d"
        printf '%s\n' 'Acquire::Check-Valid-Until "false";' 'APT::Install-Recommends "false";' \
            >"$root/etc/apt/apt.conf.d/90packaging"
        echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/packaging"
        touch "$root/.complete"
    fi
    echo "$root"
}

copy() { # FROM NAME: a new copy of a chroot; prints it
    rm -rf "${chroots:?}/$2"
    cp --archive --reflink=auto "$1" "$chroots/$2"
    # Names and certificates of this machine: it may sit behind a proxy of its own.
    cp --dereference /etc/resolv.conf /etc/hosts "$chroots/$2/etc/"
    if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
        mkdir -p "$chroots/$2/etc/ssl/certs"
        cp --dereference /etc/ssl/certs/ca-certificates.crt "$chroots/$2/etc/ssl/certs/"
    fi
    # What Debian's package of certificates, when it is installed there, adds to its own.
    if [ -d /usr/local/share/ca-certificates ]; then
        mkdir -p "$chroots/$2/usr/local/share/ca-certificates"
        cp --recursive /usr/local/share/ca-certificates/. "$chroots/$2/usr/local/share/ca-certificates/"
    fi
    echo "$chroots/$2"
}

fresh() { # SUITE NAME: a new chroot of a suite with nothing added; prints it
    copy "$(base "$1")" "$2"
}

builder() { # SUITE NAME: a new chroot in which the module can be built; prints it
    local root=$chroots/build-$1
    if [ ! -e "$root/.built" ]; then
        fresh "$1" "build-$1" >/dev/null
        add_packages "$root" nginx nginx-dev libclang-dev gcc libc6-dev dpkg-dev make
        touch "$root/.built"
    fi
    copy "$root" "$2"
}

# Directories that the next `inside` shows in the chroot, as HERE:THERE.
binds=()

inside() { # ROOT COMMAND…: runs it in the chroot, as root, with nothing of the caller's environment
    local root=$1
    shift
    # shellcheck disable=SC2016
    unshare --mount --pid --fork --kill-child bash -euc '
        root=$1 count=$2
        shift 2
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        for ((; count > 0; count--)); do
            mkdir -p "$root${1#*:}"
            mount --bind "${1%%:*}" "$root${1#*:}"
            shift
        done
        exec chroot "$root" /usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
            PATH=/opt/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
            CARGO_HOME=/opt/cargo CARGO_NET_OFFLINE=true CARGO_TERM_COLOR=never "$@"
    ' inside "$root" "${#binds[@]}" "${binds[@]}" "$@"
}

add_packages() { # ROOT PACKAGE…: into the chroot, quietly
    local root=$1
    shift
    inside "$root" sh -c 'apt-get update --quiet=2 && apt-get install --quiet=2 --yes "$@"' sh "$@" \
        >"$root.apt.log" 2>&1 || die "apt-get failed: $root.apt.log"
}

rust_binds() { # the toolchain of this machine and what it downloaded, and the repository
    (cd "$repository" && cargo fetch --locked --quiet)
    binds=(
        "$(rustc --print sysroot):/opt/rust"
        "${CARGO_HOME:-$HOME/.cargo}/registry:/opt/cargo/registry"
        "$repository:/src"
    )
}
