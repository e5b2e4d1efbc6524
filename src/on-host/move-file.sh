# Copies between a file of the host and one that a process of a testbed has open as descriptor 4. Runs on the host's tools, as
# root of the testbed's user namespace but outside of its other namespaces: it may open what that process could open and
# nothing more, and nobody in the testbed sees it.
#
# argv: in: from standard input to the testbed's file
#       out BYTES: from the testbed's file to standard output, no more than that
# descriptor 3: gives a line, the pids of the process and of the testbed's pid 1
# status: dd's, whose last words on stderr say how much it was
LC_ALL=C
export LC_ALL
read -r pid init <&3 || exit
exec 3<&-
# A pid can be another's by now, but the directory is and stays that of one process.
if ! cd "/proc/$pid" || ! [ ns/pid -ef "/proc/$init/ns/pid" ]; then
  echo "the testbed closed the file before it was copied" >&2
  exit 1
fi
case $1 in
in) exec dd bs=1M >fd/4 ;;
out) exec dd bs=128K iflag=fullblock,count_bytes count="$2" <fd/4 ;;
esac
