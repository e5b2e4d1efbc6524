#!/bin/sh
# Runs one command in the testbed. Read by the testbed's /bin/sh through descriptor 7; see README.md.
#
# argv: DIRECTORY USER [-e NAME=VALUE]... -- COMMAND [ARGUMENT]...
# descriptors: 0 and 1 the command's; 2 /dev/null; 3, 4, 5 namespaces; 7 this file; 8 the command's stderr
# status: the command's 0, 2…253; 254 for its 1 (nsenter itself fails with 1); 253 for its 254 and 255; 255: not started
exec 3<&- 4<&- 5<&- 7<&-

cannot() {
	echo "virt-ts-unshare: cannot run a command in the testbed: $1" >&8
	exit 255
}

# The account of $user: uid, gid, home, shell. A number need not have one.
look_up_user() {
	uid='' gid='' home=/ shell=/bin/sh
	while IFS=: read -r name _ number group _ directory login; do
		if [ "$name" = "$user" ] || [ "$number" = "$user" ]; then
			uid=$number gid=$group home=$directory shell=${login:-/bin/sh}
			return
		fi
	done </etc/passwd
	case $user in
	*[!0-9]* | '') cannot "it has no user $user" ;;
	esac
	uid=$user gid=$user
} 2>/dev/null

# pam_env's file: NAME=VALUE lines, perhaps quoted, perhaps after "export".
read_environment() {
	while IFS= read -r line || [ -n "$line" ]; do
		line=${line#export }
		name=${line%%=*} value=${line#*=}
		case $line in *=*) ;; *) continue ;; esac
		case $name in '' | [0-9]* | *[!A-Za-z0-9_]*) continue ;; esac
		case $value in
		\"*\") value=${value#\"} value=${value%\"} ;;
		\'*\') value=${value#\'} value=${value%\'} ;;
		esac
		command export "$name=$value"
	done
}

umask 022
directory=$1 user=$2
shift 2
cd "$directory" || cannot "it has no directory $directory"

home=/root shell=/bin/sh
[ -z "$user" ] || look_up_user
unset PWD OLDPWD SHLVL
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin SHELL="$shell" HOME="$home"
[ ! -f /etc/environment ] || read_environment </etc/environment
while [ "$1" = -e ]; do
	command export "$2"
	shift 2
done
shift

if [ -n "$user" ]; then
	set -- setpriv --reuid "$uid" --regid "$gid" --init-groups -- "$@"
fi

# A signal for the whole process group is for the command to answer; our part comes afterwards.
trap : HUP INT QUIT TERM
# exec: no builtin of this shell in place of the program.
(exec "$@" 2>&8 8>&-)
status=$?
case $status in
1) exit 254 ;;
254 | 255) exit 253 ;;
esac
exit "$status"
