# shellcheck shell=sh
# Makes the smallest root filesystem that a testbed can have, in $root, and ends the test as skipped without namespaces.
set -eu
if ! unshare --map-root-user --mount true; then
    echo 'user namespaces are not available here'
    exit 77
fi
root=$AUTOPKGTEST_TMP/root
mkdir -p "$root/bin" "$root/etc" "$root/tmp"
cp /bin/busybox "$root/bin/busybox"
for name in sh cat id mkdir rm ls true sleep chmod; do ln -s busybox "$root/bin/$name"; done
printf 'root:x:0:0:root:/root:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\n' >"$root/etc/group"
chmod -R go+rX "$AUTOPKGTEST_TMP"
