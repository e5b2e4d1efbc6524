# Unpacks a tar archive from standard input into a directory, for putArchive and write of the library. It first writes to standard
# output which dialect its tar reads, as copy-in-tree.sh does.
# argv: PATH (escaped for printf %b, starts with / or ./), OWNERS ("owners" keeps those of the archive, "-" does not)
LC_ALL=C
export LC_ALL
unset TAR_OPTIONS TAPE CDPATH
path=$(printf '%b/' "$1") || exit
[ -d "$path" ] || mkdir "${path%/}" || exit
cd "$path" || exit
if tar --xattrs --xattrs-include='*' -c -f /dev/null -T /dev/null 2>/dev/null; then
  echo pax
  if [ "$2" = owners ]; then set -- --same-owner; else set -- --no-same-owner; fi
  # A link to a directory, such as /lib, stays.
  exec tar -x -f - -b 128 "$@" --numeric-owner --same-permissions --delay-directory-restore --keep-directory-symlink \
    --warning=no-timestamp --xattrs --xattrs-include='*'
fi
if command -v tar >/dev/null; then
  echo gnu
  if [ "$2" = owners ]; then exec tar -x -f -; fi
  exec tar -x -o -f -
fi
echo none
