# shellcheck shell=sh disable=SC2034,SC2154
# Sourced by the scripts beside it: where the root filesystems are, and the program. The caller sets $here.

# A worker gives each test a data directory of its own, so the path is not that of the option --data-dir.
ts_unshare_data=$(readlink -f -- "$here/../../data")
ts_unshare_dir=${debci_ts_unshare_dir:-${ts_unshare_data%/*}/ts_unshare}
# The account of debci has a home that it cannot write to.
export XDG_CACHE_HOME="$ts_unshare_dir/cache"

# `virt-ts-unshare debci install` makes this file; the Debian package has its program on PATH.
ts_unshare=virt-ts-unshare
[ ! -x "$here/server" ] || ts_unshare=$here/server

# The root filesystem of a suite and an architecture, as it is or compressed.
ts_unshare_image=$ts_unshare_dir/$debci_suite-$debci_arch.tar.zst
[ -f "$ts_unshare_image" ] || [ ! -f "${ts_unshare_image%.zst}" ] || ts_unshare_image=${ts_unshare_image%.zst}
