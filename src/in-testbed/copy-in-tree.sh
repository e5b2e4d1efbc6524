# Unpacks a tar archive from standard input into a directory, for copydown. First says on standard output which dialect
# its tar reads: "pax" (GNU tar) or "gnu" (others), and waits for the archive in that dialect.
# argv: PATH (escaped for printf %b, starts with / or ./)
LC_ALL=C
export LC_ALL
unset TAR_OPTIONS TAPE CDPATH
path=$(printf '%b/' "$1") || exit
[ -d "$path" ] || mkdir "${path%/}" || exit
cd "$path" || exit
if tar --xattrs --xattrs-include='*' -c -f /dev/null -T /dev/null 2>/dev/null; then
  echo pax
  exec tar -x -f - -b 128 --no-same-owner --same-permissions --delay-directory-restore --warning=no-timestamp \
    --xattrs --xattrs-include='*'
fi
if command -v tar >/dev/null; then
  echo gnu
  exec tar -x -o -f -
fi
echo "the testbed has no tar, which directories need (single files do not): install tar or busybox in it" >&2
exit 127
