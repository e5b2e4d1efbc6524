#!/bin/sh
# Runs a command as the foreground job of the terminal on stdin, and takes the terminal back when it has ended. A shell in
# another pid namespace cannot do that itself: it does not see the process group that had the terminal before, and would
# leave the server and its caller in the background.
#
# argv: COMMAND [ARGUMENT]...
# status: the command's, 128 + n for death by signal n
set -m
"$@"
exit $?
