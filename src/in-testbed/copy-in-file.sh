# Opens a file to be written from outside, for copydown.
# argv: PATH (escaped for printf %b, starts with / or ./), then x if the file is to be executable, else -
# descriptor 3: a socket. It gets one byte: . when the file is open as descriptor 4, d for a directory, m when its directory is
#   missing. It gives a line when the file is written.
path=$1
case $path in
*\\*)
  path=$(printf '%b/' "$1") || exit
  path=${path%/}
  ;;
esac
refuse() {
  printf %s "$1" >&3
  exit 1
}
if [ -d "$path" ]; then refuse d; fi
if ! [ -d "${path%/*}/" ]; then refuse m; fi
# Not truncated: below a bind it can be the source itself. helper/copy.c compares them, then truncates.
exec 4>>"$path" || exit
# Before it is truncated, because this may be forbidden for a file below a bind.
case $2 in
x)
  if [ -f "$path" ] && ! [ -x "$path" ]; then chmod +x "$path" || exit; fi
  ;;
esac
printf . >&3
read -r _ <&3
