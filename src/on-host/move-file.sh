# Copies between a file of the host and one that a process of a testbed has open as descriptor 4. Runs on the host's tools, as
# root of the testbed's user namespace but outside of its other namespaces: it may open what that process could open and
# nothing more, and nobody in the testbed sees it.
#
# argv: in: from standard input to the testbed's file
#       out BYTES: from the testbed's file to standard output, no more than that
# descriptor 3: gives a line, the pids of the process and of the testbed's pid 1; on the way out, is told "opened" then, and
#   gives another line when the file of the host is ready to be written; is told where the second half begins (bytes), if the
#   two halves are copied at once
# descriptor 4: the file of the host opened once more, if its halves may be copied at once
# status: dd's, whose words on stderr say how much it was, but for halves; of those, one that fails is our death by SIGKILL
LC_ALL=C
export LC_ALL
cannot() {
  echo "$1" >&2
  exit 1
}
read -r pid init <&3 || exit
# A pid can be another's by now, but the directory is and stays that of one process.
if ! cd "/proc/$pid" || ! [ ns/pid -ef "/proc/$init/ns/pid" ]; then
  cannot "the testbed closed the file before it was copied"
fi
[ -e /proc/$$/fd/4 ] || exec 4</dev/null
# What is bound into a testbed, or its root file system, can be copied onto itself, and would be cut before it was read. A file
# below an overlay has another device there, but else it is the same.
look() {
  stat -L -c '%i %s %z' "$1" 2>/dev/null || echo "$1"
}
differ() {
  [ -f "$1" ] || return 0
  if [ "$1" -ef "$2" ] || [ "$(look "$1")" = "$(look "$2")" ]; then cannot "they are the same file"; fi
}
# Bytes of what is read; of what is no file, or does not tell, 0.
size() {
  stat -L -c %s "/proc/$$/fd/5" 2>/dev/null || echo 0
}
case $1 in
in)
  differ fd/4 "/proc/$$/fd/0"
  exec 5<&0 6<&4 7>fd/4 8>fd/4
  limit=9007199254740991
  before=$(size)
  ;;
out)
  exec 5<fd/4 6<fd/4 7>&1 8>&4
  limit=$2
  [ -f "/proc/$$/fd/5" ] || cannot "it is not a regular file"
  differ "/proc/$$/fd/5" "/proc/$$/fd/1"
  before=$(size)
  echo opened >&3
  read -r _ <&3 || exit
  ;;
esac
conclude() {
  [ "$(size)" -ge "$before" ] || cannot "it became shorter while it was copied"
  exit
}
part() {
  dd bs=512K iflag=fullblock,count_bytes,skip_bytes oflag=seek_bytes "$@"
}

# To look how long it is would cost a short file more than halves gain.
first=16777216
part count="$((limit < first ? limit : first))" <&5 >&7 || exit
position=''
while read -r name position; do
  [ "$name" != pos: ] || break
done </proc/$$/fdinfo/5
all=$first
case $position in
"$first")
  if [ -f /proc/$$/fd/6 ] && [ -f /proc/$$/fd/8 ]; then all=$before; fi
  [ "$all" -le "$limit" ] || all=$limit
  ;;
# Not every file keeps count: one of a FUSE file system may be at 0 for ever.
'' | 0) ;;
*) conclude ;;
esac
if [ "$all" -le "$first" ]; then
  part count="$((limit > first ? limit - first : 0))" <&5 >&7 || exit
  conclude
fi

half=$((first + (all - first) / 2))
echo "$half" >&3
# Who started us ends the whole session when we are killed, so the other half does not go on in vain.
half() {
  part status=none "$@" || kill -s KILL "$$"
}
half count="$((half - first))" <&5 >&7 &
half skip="$half" seek="$half" count="$((limit - half))" <&6 >&8 &
wait
conclude
