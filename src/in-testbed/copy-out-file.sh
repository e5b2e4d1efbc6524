# Opens a file to be read from outside, for copyup.
# argv: PATH (escaped for printf %b, starts with / or ./)
# descriptor 3: a socket that gets one byte when the file is open as descriptor 4, x if it is executable and else -, and gives
#   a line when it was read
path=$1
case $path in
*\\*)
  path=$(printf '%b/' "$1") || exit
  path=${path%/}
  ;;
esac
if [ -d "$path" ]; then
  echo "it is a directory; its name needs a slash at the end" >&2
  exit 1
fi
if [ -e "$path" ] && ! [ -f "$path" ]; then
  echo "it is not a regular file" >&2
  exit 1
fi
exec 4<"$path" || exit
if [ -x "$path" ]; then printf x >&3; else printf - >&3; fi
read -r _ <&3
