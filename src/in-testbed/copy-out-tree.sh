# Packs a directory as a tar archive to standard output, for copyup.
# argv: PATH (escaped for printf %b, starts with / or ./)
LC_ALL=C
export LC_ALL
unset TAR_OPTIONS TAPE CDPATH
path=$(printf '%b/' "$1") || exit
cd "$path" || exit
if tar --xattrs --xattrs-include='*' -c -f /dev/null -T /dev/null 2>/dev/null; then
  exec tar -c -f - -b 128 --format=posix --pax-option=delete=atime,delete=ctime --sparse --numeric-owner \
    --xattrs --xattrs-include='*' .
fi
if command -v tar >/dev/null; then
  exec tar -c -f - .
fi
echo "the testbed has no tar, which directories need (single files do not): install tar or busybox in it" >&2
exit 127
