#!/bin/sh
# Makes a tarball of a root filesystem that has busybox for its tools, and nothing else but the shell under test as /bin/sh.
#
# argv: SHELL TARBALL [BUSYBOX]   SHELL is dash, bash, mksh or busybox; the programs are the host's, or BUSYBOX, which may be of another
# architecture
set -eu

shell=$1 tarball=$2 busybox=${3-$(command -v busybox)}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
umask 022
cd "$root"
mkdir -p bin dev etc proc root run sbin sys tmp usr/bin usr/sbin
chmod 755 .
chmod 1777 tmp
cp "$busybox" bin/busybox
for name in $(busybox --list); do
	case $name in ash | bash | busybox | hush | sh) ;; *) ln -s busybox "bin/$name" ;; esac
done
printf '%s\n' root:x:0:0:root:/root:/bin/sh daemon:x:1:1:daemon:/tmp:/bin/sh >etc/passwd
printf '%s\n' root:x:0: daemon:x:1: games:x:60:daemon >etc/group

# A program with the libraries that it is linked with.
install() {
	cp "$(command -v "$1")" "bin/$1"
	{ ldd "bin/$1" 2>/dev/null || :; } | grep -o '/[^ ]*' | while read -r library; do
		mkdir -p ".${library%/*}"
		cp "$library" ".$library"
	done
}
case $shell in
busybox) ;;
mksh) install mksh ;;
*) install "$shell" ;;
esac
ln -s "$shell" bin/sh
tar -c --numeric-owner --owner=0 --group=0 -f "$tarball" .
