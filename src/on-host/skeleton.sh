#!/bin/sh
# Fills the skeleton: a small layer between base and upper layer with what every testbed of this server has in common, so
# that an open has nothing to create. Runs on the host's tools as root of the holder.
#
# argv: BASE SKELETON SCRATCH_DIRECTORY HOSTNAME HOSTS RESOLV_CONF NORMAL_USER HOST_LINKS [MOUNT_POINT KIND]...
#   SCRATCH_DIRECTORY  path inside the testbed, below /tmp
#   HOSTS              lines for /etc/hosts behind that of localhost
#   NORMAL_USER        name for the normal user if the base has none; empty: there can be none, whatever the base has
#   HOST_LINKS         of the symbolic links in /dev, those that the host has as they are to be, each behind a space
#   MOUNT_POINT KIND   where something of the host will be bound; KIND is directory or file
# stdout: "user NAME" (NAME empty: none), then for each mount point its path in the base without symbolic links; or
#   "closed PATH", a file or folder of the base that we may not read, from the base on
set -eu

base=$1 skeleton=$2 scratch=$3 hostname=$4 hosts=$5 resolv=$6 normal=$7 host_links=$8
shift 8
umask 022
cd "$skeleton"

# A directory that somebody has unpacked may be closed to us, who are nobody outside.
need() {
	if [ -e "$1" ] && ! [ -r "$1" ] || [ -d "$1" ] && ! [ -x "$1" ]; then
		printf 'closed %s\n' "${1#"$base"}"
		exit
	fi
}
need "$base"
[ -L "$base/etc" ] || need "$base/etc"

mkdir -p dev/net dev/pts dev/shm etc home proc run sys tmp ".$scratch"

# Half of it beside the other half: somebody waits for each program that is started here.
{
	# Why 777: see "open" in protocol.md.
	chmod 777 ".$scratch"
	chmod 1777 tmp
	# Many bases have those of themselves. What the host has is one program's work.
	set --
	for link in fd=/proc/self/fd stdin=/proc/self/fd/0 stdout=/proc/self/fd/1 stderr=/proc/self/fd/2 ptmx=pts/ptmx; do
		name=${link%%=*}
		if [ -L "$base/dev/$name" ] && ! [ -L "$base/dev" ]; then
			continue
		fi
		case "$host_links " in
		*" $name "*) set -- "$@" "/dev/$name" ;;
		*) ln -s "${link#*=}" "dev/$name" ;;
		esac
	done
	[ $# = 0 ] || cp -P -- "$@" dev
} >&2 &
first_half=$!

for node in null zero full random urandom tty console net/tun; do
	: >"dev/$node"
done
printf '%s\n' "$hostname" >etc/hostname
printf '%s\n' '127.0.0.1 localhost' "$hosts" '::1 localhost ip6-localhost ip6-loopback' \
	'ff02::1 ip6-allnodes' 'ff02::2 ip6-allrouters' >etc/hosts
printf '%s' "$resolv" >etc/resolv.conf

# The accounts of the base, to be added to. A symbolic link in their place is not followed: it may lead out.
copy_accounts() {
	for file in passwd group shadow gshadow; do
		if [ -f "$base/etc/$file" ] && ! [ -L "$base/etc/$file" ]; then
			need "$base/etc/$file"
			set -- "$@" "$base/etc/$file"
		fi
	done
	[ $# = 0 ] || cp -p -- "$@" etc
}
[ -L "$base/etc" ] || copy_accounts
# "x" says that the password is in the other file: PAM refuses whoever has no line there, su from root too. "*" says that
# nobody logs in by password.
if [ -f etc/shadow ]; then password=x; else password='*'; fi
if [ -f etc/gshadow ]; then group_password=x; else group_password='*'; fi
[ -f etc/passwd ] || echo "root:$password:0:0:root:/root:/bin/sh" >etc/passwd
[ -f etc/group ] || echo "root:$group_password:0:" >etc/group

user=''
while [ -n "$normal" ] && IFS=: read -r name _ uid _; do
	case $uid in
	'' | *[!0-9]* | ??????*) ;;
	*) if [ "$uid" -ge 1000 ] && [ "$uid" -lt 60000 ]; then user=$name && break; fi ;;
	esac
done <etc/passwd
if [ -z "$user" ] && [ -n "$normal" ]; then
	user=$normal
	shell=/bin/sh
	[ ! -x "$base/bin/bash" ] || shell=/bin/bash
	printf '%s:%s:1000:1000::/home/%s:%s\n' "$user" "$password" "$user" "$shell" >>etc/passwd
	printf '%s:%s:1000:\n' "$user" "$group_password" >>etc/group
	[ ! -f etc/shadow ] || printf '%s:*:19000:0:99999:7:::\n' "$user" >>etc/shadow
	[ ! -f etc/gshadow ] || printf '%s:!::\n' "$user" >>etc/gshadow
	if [ -d "$base/etc/skel" ] && [ ! -L "$base/etc" ] && [ ! -L "$base/etc/skel" ]; then
		cp -RP "$base/etc/skel" "home/$user"
	else
		mkdir "home/$user"
	fi
	chown -R 1000:1000 "home/$user"
fi
printf 'user %s\n' "$user"

# Gives in $resolved the path that $1 has in the base, every symbolic link on the way resolved as the testbed would.
resolve() {
	rest=$1 resolved='' links=0
	while [ -n "$rest" ]; do
		first=${rest%%/*}
		case $rest in
		*/*) rest=${rest#*/} ;;
		*) rest='' ;;
		esac
		case $first in
		'' | .) ;;
		..) resolved=${resolved%/*} ;;
		*)
			if [ -L "$base$resolved/$first" ]; then
				links=$((links + 1))
				[ "$links" -lt 40 ] || {
					echo "too many levels of symbolic links in the testbed's $1" >&2
					exit 1
				}
				target=$(readlink "$base$resolved/$first")
				rest=$target/$rest
				case $target in /*) resolved='' ;; esac
			else
				resolved=$resolved/$first
			fi
			;;
		esac
	done
}

# A folder of the skeleton hides the one of the base below it, so it takes over owner and mode.
make_parents() {
	parent='' left=${1#/}
	while [ "$left" != "${left#*/}" ]; do
		parent=$parent/${left%%/*}
		left=${left#*/}
		if [ ! -d ".$parent" ]; then
			mkdir ".$parent"
			if [ -d "$base$parent" ]; then
				chown --reference="$base$parent" ".$parent"
				chmod --reference="$base$parent" ".$parent"
			fi
		fi
	done
}

while [ $# -gt 0 ]; do
	resolve "$1"
	make_parents "$resolved"
	if [ "$2" = directory ]; then
		[ -d ".$resolved" ] || mkdir ".$resolved"
	elif [ ! -e ".$resolved" ]; then
		: >".$resolved"
	fi
	printf '%s\n' "$resolved"
	shift 2
done

wait "$first_half"
