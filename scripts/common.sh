# shellcheck shell=sh disable=SC2034
# Sourced by the scripts beside it: where things are.
project=$(cd -- "$(dirname -- "$0")/.." && pwd -P)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/virt-ts-unshare
# As root the tests run as this ordinary user too, in a copy of the project that it can write.
test_user=vtu-test

say() {
    printf '%s\n' "$*" >&2
}

die() {
    say "$(basename -- "$0"): $*"
    exit 1
}

# The path of the test user's copy of this checkout.
test_copy() {
    printf '%s/checkouts/%s\n' "$(getent passwd "$test_user" | cut -d : -f 6)" \
        "$(printf '%s' "$project" | cksum | cut -d ' ' -f 1)"
}

# Code name of the host's Debian release.
debian_release() {
    (
        # shellcheck source=/dev/null
        . /etc/os-release
        printf '%s\n' "${VERSION_CODENAME-sid}"
    )
}

# debian_sources WORK: one `deb` line for each source of the host's apt with the origin Debian. WORK is a directory for package lists,
# if the host has none yet; fetching them there needs no root.
debian_sources() (
    work=$1
    release=$(debian_release)
    # shellcheck disable=SC2016
    list() {
        apt-get "$@" indextargets \
            --format '$(ORIGIN)|$(CODENAME)|deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
            sed -n -E "s/^Debian\|$release(-[a-z]+)*\|//p" | grep -v -e '-backports' | sort -u
    }
    sources=$(list)
    if [ -z "$sources" ]; then
        mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"
        set -- -o Dir::State::lists="$work/state/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=
        apt-get "$@" update --quiet=2 >&2 || true
        sources=$(list "$@")
    fi
    [ -z "$sources" ] || printf '%s\n' "$sources"
)
