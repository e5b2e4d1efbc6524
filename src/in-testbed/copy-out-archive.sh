# Packs a file, or the content of a directory, as a tar archive to standard output, for getArchive of the library. Before the
# archive comes a line: d for a directory, f for a file. A link that is the path itself is followed.
# argv: PATH (escaped for printf %b, starts with / or ./)
# status: tar's; 127 if there is no tar
LC_ALL=C
export LC_ALL
unset TAR_OPTIONS TAPE CDPATH
command -v tar >/dev/null || exit 127
path=$(printf '%b/' "$1") || exit
path=${path%/}
kind=d
name=.
if [ ! -d "$path/" ]; then
  kind=f
  name=./${path##*/}
  path=${path%/*}
fi
cd "$path/" || exit
if [ "$kind" = f ] && [ ! -e "$name" ]; then
  printf '%s: No such file or directory\n' "$name" >&2
  exit 2
fi
echo "$kind"
[ "$kind" = d ] || set -- -h
[ "$kind" = f ] || shift
if tar --xattrs --xattrs-include='*' -c -f /dev/null -T /dev/null 2>/dev/null; then
  exec tar -c -f - -b 128 --format=posix --pax-option=delete=atime,delete=ctime --sparse --numeric-owner \
    --xattrs --xattrs-include='*' "$@" -- "$name"
fi
exec tar -c "$@" -f - "$name"
