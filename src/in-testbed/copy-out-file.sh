# Writes one byte, x if a file is executable and else -, and then the file, to standard output, for copyup.
# argv: PATH (escaped for printf %b, starts with / or ./)
path=$(printf '%b/' "$1") || exit
path=${path%/}
if [ -d "$path" ]; then
  echo "it is a directory; its name needs a slash at the end" >&2
  exit 1
fi
# Opened before the byte is written, so that a file that cannot be read says so and nothing else.
exec <"$path" || exit
if [ -x "$path" ]; then printf x; else printf -; fi
exec cat
