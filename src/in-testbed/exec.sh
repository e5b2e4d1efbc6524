#!/bin/sh
# Prepares what only the testbed's own shell can, and becomes the command. See README.md.
#
# argv: DIRECTORY USER [-e NAME=VALUE]... -- COMMAND [ARGUMENT]...
#   USER  name or number; empty: root
# descriptor 7: this file
# status: the command's; 255 and a sentence on stderr when it cannot be started as asked
exec 7<&-

cannot() {
	echo "virt-ts-unshare: cannot run a command in the testbed: $1" >&2
	exit 255
}

# The account of $user. A number need not have one.
look_up_user() {
	while IFS=: read -r name _ number group _ directory login; do
		if [ "$name" = "$user" ] || [ "$number" = "$user" ]; then
			uid=$number gid=$group home=$directory shell=${login:-/bin/sh}
			return
		fi
	done </etc/passwd
	case $user in
	*[!0-9]*) cannot "it has no user $user" ;;
	esac
	name='' uid=$user gid=$user home=/ shell=/bin/sh
}

# pam_env(8)'s file: NAME=VALUE, perhaps quoted, perhaps after "export".
read_environment() {
	while IFS= read -r line || [ -n "$line" ]; do
		line=${line#export }
		key=${line%%=*} value=${line#*=}
		case $line in *=*) ;; *) continue ;; esac
		case $key in '' | [0-9]* | *[!A-Za-z0-9_]*) continue ;; esac
		case $value in
		\"*\") value=${value#\"} value=${value%\"} ;;
		\'*\') value=${value#\'} value=${value%\'} ;;
		esac
		command export "$key=$value"
	done
}

directory=$1 user=$2
shift 2
cd "$directory" 2>/dev/null || {
	[ ! -d "$directory" ] || cannot "its root may not enter the directory $directory; open it to others, as by chmod o+x"
	cannot "it has no directory $directory"
}
# Shells export what nobody asked for.
unset PWD OLDPWD SHLVL
if [ -n "$user" ]; then
	look_up_user
	export HOME="$home" SHELL="$shell"
fi
[ ! -f /etc/environment ] || read_environment </etc/environment
while [ "$1" = -e ]; do
	command export "$2"
	shift 2
done
shift
if [ -z "$user" ]; then
	# Said here, because the shell's own words would name this file.
	command -v -- "$1" >/dev/null || {
		echo "virt-ts-unshare: the testbed has no program $1" >&2
		exit 127
	}
	exec "$@"
fi

# Where there is one id, nobody can become another or have other groups.
if { read -r _ _ count && ! read -r _; } </proc/self/uid_map && [ "$count" = 1 ]; then
	[ "$uid" != 0 ] || exec "$@"
	cannot "it has no ids but root's, so not those of $user; on the host, give its caller ranges in /etc/subuid and /etc/subgid"
fi

# The first is the only one that adds no process and no word of its own; busybox has one that cannot do this.
if setpriv --reuid "$uid" --regid "$gid" --clear-groups /bin/sh -c : 2>/dev/null; then
	if [ -n "$name" ]; then groups=--init-groups; else groups=--clear-groups; fi
	exec setpriv --reuid "$uid" --regid "$gid" "$groups" -- "$@"
fi
[ -n "$name" ] || cannot "it has no setpriv to become user $user, who has no name"
if command -v runuser >/dev/null; then
	exec runuser -u "$name" -- "$@"
elif command -v su >/dev/null; then
	# busybox hands "--" on, as $0; others do not.
	# shellcheck disable=SC2016
	exec su -s /bin/sh -c '[ "$0" = sh ] || shift; exec "$@"' "$name" -- sh "$@"
fi
cannot "it has none of setpriv, runuser and su to become user $user"
