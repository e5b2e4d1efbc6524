# Unpacks a tar archive from standard input into a directory, for copydown. It first writes to standard output which dialect
# its tar reads, pax (GNU tar) or gnu (others), or none if there is no tar; then it waits for an archive in that dialect.
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
echo none
