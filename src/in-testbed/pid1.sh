# shellcheck shell=sh
# pid 1 of a testbed: reaps what is orphaned, and ends, and with it the testbed, when the lifeline does. See README.md.
#
# PID1 in the environment: this text
# descriptor 3: the lifeline, a pipe that only the server can write to and never does

# A shell that cannot fork exits, as after a fork bomb; pid 1 must not. To execute itself again needs no fork.
# shellcheck disable=SC2016
trap 'exec /bin/sh -c '\''eval "$PID1"'\'' pid1' EXIT
# Some shells catch these, and what is caught reaches pid 1 also from within.
trap '' HUP INT QUIT TERM
while :; do
	# Some shells reap only while they wait for a child, which takes a fork; all the dead together may be why that fails.
	jobs
	(
		trap - EXIT
		while read -r _; do :; done
	) <&3 &
	# This is where pid 1 spends its time: while it waits for one, a shell reaps all.
	wait $!
	# More than 128: the reader was killed (kill -9 -1).
	[ $? -gt 128 ] || break
done
trap - EXIT
