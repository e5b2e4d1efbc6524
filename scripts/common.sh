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
