#!/bin/sh
# The test of a driver that only prepares a testbed: when it runs, the dependencies are installed and the testbed can be committed. Its
# name is random, so no package can report for it. It prints how many processes would be missing in a testbed from the image, and
# whether /run has files that would, and waits to be ended.
set -eu
name=${0##*/}
state=/var/lib/virt-ts-unshare-test

# The processes of a command have its timer slack, and those that belong to pid 1 have that of pid 1.
mine=$(cat /proc/self/timerslack_ns)
first=$(cat /proc/1/timerslack_ns)
others=0
for process in /proc/[0-9]*; do
    slack=$(cat "$process/timerslack_ns" 2>/dev/null) || continue
    case $slack in
        "$mine" | "$first") ;;
        *) others=$((others + 1)) ;;
    esac
done

# The driver makes these again. Another user cannot write the first.
rm -f /tmp/autopkgtest_script_pid /tmp/autopkgtest-reboot /tmp/autopkgtest-reboot-prepare /sbin/autopkgtest-reboot

# An image has no /run, so its new files are kept, and unpacked in each testbed.
run=0
cd /
find run -xdev \( -type d -o -type f -o -type l \) ! -path 'run/autopkgtest*' ! -path run/utmp | LC_ALL=C sort >$state.now
LC_ALL=C comm -13 $state.before $state.now >$state.new
if [ -s $state.new ]; then
    tar --create --file=$state.tar --no-recursion --verbatim-files-from --files-from=$state.new
    run=1
fi
rm -f $state.before $state.now $state.new

printf '%s is prepared: others=%s run=%s\n' "$name" "$others" "$run"
exec sleep 2147483647
