# Writes its standard input to a file, for copydown.
# argv: PATH (escaped for printf %b, starts with / or ./), then x if the file is to be executable, else -
path=$(printf '%b/' "$1") || exit
path=${path%/}
cat >"$path" || exit
case $2 in x) chmod +x "$path" ;; esac
