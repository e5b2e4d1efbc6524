# Writes a file to standard output, for copyup.
# argv: PATH (escaped for printf %b, starts with / or ./)
# descriptor 3: a socket that gets one byte, x if the file is executable and else -, and then gives a line when it may be sent
path=$(printf '%b/' "$1") || exit
path=${path%/}
if [ -d "$path" ]; then
  echo "it is a directory; its name needs a slash at the end" >&2
  exit 1
fi
# Opened before the byte is written, so that a file that cannot be read says so and nothing else.
exec <"$path" || exit
if [ -x "$path" ]; then printf x >&3; else printf - >&3; fi
read -r _ <&3 || exit
exec cat 3>&-
