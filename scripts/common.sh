# shellcheck shell=sh disable=SC2034
# Sourced by the scripts beside it: where things are.
project=$(cd -- "$(dirname -- "$0")/.." && pwd -P)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/virt-ts-unshare
# As root the tests run as this ordinary user too, in a copy of the project that it can reach and write.
test_user=vtu-test

say() {
    printf '%s\n' "$*" >&2
}

die() {
    say "$(basename -- "$0"): $*"
    exit 1
}

# Where the copy of this very checkout is that the tests' ordinary user works in.
test_copy() {
    printf '%s/checkouts/%s\n' "$(getent passwd "$test_user" | cut -d : -f 6)" \
        "$(printf '%s' "$project" | cksum | cut -d ' ' -f 1)"
}

# Codename of the host's own Debian release.
debian_release() {
    (
        # shellcheck source=/dev/null
        . /etc/os-release
        printf '%s\n' "${VERSION_CODENAME-sid}"
    )
}

# debian_sources WORK: one `deb` line for each Debian source of the host's apt; entries of third parties are left out by
# their origin. WORK is a folder for package lists, should the host have none yet; fetching them there needs no root.
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
