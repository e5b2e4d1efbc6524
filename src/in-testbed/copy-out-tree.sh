# Packs a directory as a tar archive to standard output, for copyup.
# argv: PATH (escaped for printf %b, starts with / or ./)
# status: tar's; 127 if there is no tar
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
exit 127
