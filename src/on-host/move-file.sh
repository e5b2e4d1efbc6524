# Copies between a file of the host and one that a process of a testbed has open as descriptor 4. Runs on the host's tools, as
# root of the testbed's user namespace but outside of its other namespaces: it may open what that process could open and
# nothing more, and nobody in the testbed sees it.
#
# argv: in: from standard input to the testbed's file
#       out BYTES: from the testbed's file to standard output, no more than that
# descriptor 3: gives a line, the process's pid
# status: dd's, whose last words on stderr say how much it was
LC_ALL=C
export LC_ALL
read -r pid <&3 || exit
exec 3<&-
case $1 in
in) exec dd bs=1M >"/proc/$pid/fd/4" ;;
out) exec dd bs=128K iflag=fullblock,count_bytes count="$2" <"/proc/$pid/fd/4" ;;
esac
