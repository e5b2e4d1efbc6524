# shellcheck shell=sh
# pid 1 of a testbed: reaps orphans, and ends with the lifeline. See README.md.

# A shell that cannot fork exits, as after a fork bomb; pid 1 must not. exec needs no fork.
# shellcheck disable=SC2016
trap 'exec /bin/sh -c '\''eval "$PID1"'\'' pid1' EXIT
# Some shells catch these, and a caught signal reaches pid 1 from within too.
trap '' HUP INT QUIT TERM
while :; do
	# Some shells reap only while they wait for a child, which takes a fork; unreaped children may make it fail.
	jobs
	(
		trap - EXIT
		while read -r _; do :; done
	) <&3 &
	# While a shell waits for one child, it reaps all.
	wait $!
	# More than 128: the reader was killed (kill -9 -1).
	[ $? -gt 128 ] || break
done
trap - EXIT
