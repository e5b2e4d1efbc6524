#!/bin/sh
# Removes what a copy has not finished when the server is gone; a server that lives removes it by itself and kills us.
#
# argv: NAME of the file or directory
# stdin: the lifeline; 3: the directory that NAME is in
# Nothing is ever written to it: this returns at its end of file.
read -r _
cd /proc/self/fd/3 || exit
# The tar that unpacks there ends by the same death, but perhaps a moment later.
for _ in 1 2 3 4 5 6 7 8 9 10; do
	find "./$1" -type d ! -perm -700 -execdir chmod u+rwx {} \; 2>/dev/null
	rm -rf -- "./$1" 2>/dev/null
	[ -e "./$1" ] || exit 0
	sleep 0.1
done
