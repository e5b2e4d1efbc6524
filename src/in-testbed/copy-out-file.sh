# Opens a file to be read from outside, for copyup.
# argv: PATH (escaped for printf %b, starts with / or ./)
# descriptor 3: a socket. It gets one byte: x or - when the file is open as descriptor 4 and is executable or not, d for a
#   directory, n for anything else that is not a regular file. It gives a line when the file was read.
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
if [ -e "$path" ] && ! [ -f "$path" ]; then refuse n; fi
exec 4<"$path" || exit
if [ -x "$path" ]; then printf x >&3; else printf - >&3; fi
read -r _ <&3
