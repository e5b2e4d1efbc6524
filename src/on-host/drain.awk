# Tells who of an ended command still holds its output. See drain.sh.
#
# Reads lines "/proc/PID/fd NUMBER MODE WHAT" and "/proc/PID/ns pid MODE WHAT": MODE that of the symbolic link, which tells for
# what a descriptor is open; WHAT pipe:[N], socket:[N], pid:[N], or - for what has a name. Variables: pid1, tag; self, a process
# in our own pid namespace; input, out, err: WHAT of the command's descriptors, or for what has a name "mnt_id:Nino:N".
# Prints "leak PID" for each process to be ended, and "helper PID BYTES" for each that is waited for, BYTES being what it has
# read and written so far; then "end". Some awks give up when a process ends whose file in /proc they have just opened. So as
# little as possible is read of others than the testbed's processes, and without an "end" nothing is known.
#
# A holder that reads from a pipe is a helper (tee, cat, ts), and what it has started is. Whoever writes into its pipe is
# asked in turn: the one that reads from no pipe keeps all helpers behind it from their end of file, and is the leak.

{ split($1, path, "/"); pid = path[3] }

$2 == "pid" { namespace[pid] = $4; next }

{
	descriptors[pid] = descriptors[pid] " " $2
	mode[pid, $2] = substr($3, 1, 1)
	what[pid, $2] = $4
	if ($4 == "-") next
	# Who has it open, and by which descriptors: somebody may have a hundred thousand.
	if (!((pid, $4) in numbers)) users[$4] = users[$4] " " pid
	numbers[pid, $4] = numbers[pid, $4] " " $2
}

END {
	if (!(pid1 in namespace)) exit
	for (pid in descriptors)
		if (holds(pid) && ours(pid)) add(pid)
	# The list grows while it is gone through.
	for (asked = 0; asked < count; asked = last) {
		last = count
		find_fifos(asked + 1, last)
		for (i = asked + 1; i <= last; i++) ask(member[i])
	}
	for (i = 1; i <= count; i++) {
		pid = member[i]
		if (helps(pid)) print "helper", pid, bytes(pid)
		else print "leak", pid
	}
	print "end"
}

function add(pid) {
	if (pid in known) return
	known[pid] = 1
	member[++count] = pid
}

# Whether a process can write to the command's stdout or stderr.
function holds(pid,    list, n, i, id) {
	n = split(descriptors[pid], list, " ")
	for (i = 1; i <= n; i++) {
		if (!for_writing(pid, list[i])) continue
		id = what[pid, list[i]]
		if (id !~ /^(pipe|socket)/) {
			if (out !~ /^mnt_id/ && err !~ /^mnt_id/) continue
			id = identity(pid, list[i])
		}
		if (id != "" && (id == out || id == err)) return 1
	}
	return 0
}

# Finds what a process reads, and adds who writes to it.
function ask(pid,    list, n, i, id) {
	n = split(descriptors[pid], list, " ")
	for (i = 1; i <= n; i++) {
		id = source(pid, list[i])
		if (id == input || id == out || id == err) continue
		# Of a socket the other end cannot be told; as standard input it is somebody's output.
		if (id ~ /^socket/ && list[i] == 0) reads[pid] = 1
		if (id !~ /^pipe|^mnt_id/ || !for_reading(pid, list[i]) || writes(pid, id)) continue
		reads[pid] = 1
		if (!(id in followed)) add_writers(id)
		followed[id] = 1
	}
}

function add_writers(id,    list, n, i, pid) {
	if (id ~ /^mnt_id/) {
		for (pid in descriptors)
			if (writes(pid, id) && ours(pid)) add(pid)
		return
	}
	n = split(users[id], list, " ")
	for (i = 1; i <= n; i++)
		if (writes(list[i], id) && ours(list[i])) add(list[i])
}

# What a descriptor of a process that was asked is, a pipe with a name told from another one.
function source(pid, number) {
	return (pid, number) in fifo ? identity(pid, number) : what[pid, number]
}

# Tells what some members read from pipes with a name. Their file system may never answer, so only what the kernel knows
# without asking it is asked for, where stat(1) can do so.
function find_fifos(first, last,    i, j, n, list, pid, paths) {
	paths = ""
	for (i = first; i <= last; i++) {
		pid = member[i]
		n = split(descriptors[pid], list, " ")
		for (j = 1; j <= n; j++) {
			if (what[pid, list[j]] != "-" || !for_reading(pid, list[j])) continue
			paths = paths " /proc/" pid "/fd/" list[j]
			# One argument may have 128 KiB.
			if (length(paths) < 60000) continue
			ask_types(paths)
			paths = ""
		}
	}
	if (paths != "") ask_types(paths)
}

function ask_types(paths) {
	if (!answers_of("--cached=always" paths)) answers_of(paths)
}

function answers_of(words,    command, count, path) {
	command = "exec stat -L -c '%f %n' " words " 2>/dev/null"
	while ((command | getline) > 0) {
		count++
		split($2, path, "/")
		# The mode in hexadecimal digits.
		if ($1 ~ /^1...$/) fifo[path[3], path[5]] = 1
	}
	close(command)
	return count
}

function writes(pid, id,    list, n, i) {
	if (!((pid, id) in written)) {
		written[pid, id] = 0
		n = split(id ~ /^mnt_id/ ? descriptors[pid] : numbers[pid, id], list, " ")
		for (i = 1; i <= n; i++)
			if (for_writing(pid, list[i]) && (id !~ /^mnt_id/ || named(pid, list[i]) == id)) written[pid, id] = 1
	}
	return written[pid, id]
}

# Which file with a name a descriptor has open.
function named(pid, number) {
	return what[pid, number] == "-" ? identity(pid, number) : ""
}

function helps(pid) {
	for (; pid > 1 && pid != pid1; pid = parent(pid))
		if (pid in reads) return 1
	return 0
}

# Whether it is in the testbed, or in a pid namespace within, and of this command.
function ours(pid,    slack) {
	if (!inside(pid)) return 0
	slack = first_line("/proc/" pid "/timerslack_ns")
	return slack == tag || slack < 10000 || slack >= 50000
}

function inside(pid,    up) {
	if (pid == pid1) return 0
	for (up = pid; up in namespace && namespace[up] != namespace[self]; up = parent(up))
		if (namespace[up] == namespace[pid1]) return 1
	return 0
}

function for_reading(pid, number) {
	return mode[pid, number] ~ /[4-7]/
}

function for_writing(pid, number) {
	return mode[pid, number] ~ /[2367]/
}

# Which file a descriptor of a process inside has open; nothing when it is closed by now.
function identity(pid, number,    file, line, field) {
	if (!((pid, number) in identities)) {
		identities[pid, number] = ""
		if (!inside(pid)) return ""
		file = "/proc/" pid "/fdinfo/" number
		while ((getline line < file) > 0) {
			split(line, field, /:[ \t]*/)
			if (field[1] == "mnt_id" || field[1] == "ino")
				identities[pid, number] = identities[pid, number] field[1] ":" field[2]
		}
		close(file)
	}
	return identities[pid, number]
}

function parent(pid,    file, line, last) {
	if (!(pid in parents)) {
		# The name of the program may hold anything, newlines too, but ends with the last parenthesis.
		file = "/proc/" pid "/stat"
		while ((getline line < file) > 0) last = line
		close(file)
		parents[pid] = sub(/^.*\) . /, "", last) ? last + 0 : 0
	}
	return parents[pid]
}

# Of its first thread: the sum for the process includes its children that have ended.
function bytes(pid,    file, line, field, sum) {
	file = "/proc/" pid "/task/" pid "/io"
	while ((getline line < file) > 0) {
		split(line, field, ": ")
		if (field[1] == "rchar" || field[1] == "wchar") sum += field[2]
	}
	close(file)
	return sum + 0
}

function first_line(file,    line) {
	line = ""
	if ((getline line < file) <= 0) line = ""
	close(file)
	return line
}
