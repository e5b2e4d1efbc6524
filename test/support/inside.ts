/** Pieces of shell for use inside testbeds whose root filesystem has few tools. */
import { readFileSync } from 'node:fs';
import { shellQuote } from '../../src/log.ts';

/** A shell function `tmpfs SOURCE TARGET`: mount(2) by perl, which every Debian has, where mount(8) may be missing. */
export const TMPFS = `tmpfs() {
  perl -e 'use POSIX; my %mount = (x86_64 => 165, aarch64 => 40, riscv64 => 40, ppc64le => 21, s390x => 21);
    my ($number, $type) = ($mount{(POSIX::uname())[4]}, "tmpfs");
    syscall($number, $ARGV[0], $ARGV[1], $type, 0, 0) == 0 or die "mount: $!"' "$1" "$2"
}
`;

/** The numbers of the FUSE requests that `fuse` below can leave unanswered. */
export const QUESTIONS = { lookup: 1, getattr: 3, open: 14, read: 15 } as const;

// Its text, because a testbed has no file of the project.
const DAEMON = readFileSync(new URL('fuse.pl', import.meta.url), 'utf8');

/**
 * A shell function `fuse FOLDER WAITER`: mounts FUSE on a folder, by the daemon in fuse.pl.
 *
 * WAITER `child` or `other`: it answers nothing but the kernel's first request, and the function returns when that process has
 * sent a request and waits. A child has the daemon's descriptor too, so that the end of the daemon does not end its waiting;
 * another process has not, and the daemon stops itself.
 *
 * WAITER one of QUESTIONS: every name in the folder is a file of 4096 bytes, until that request comes: it is read and never
 * answered, nor is any after it. With `/COUNT` behind it, that many are answered before.
 *
 * WAITER `stream`: all requests are answered, and every name is a file of 20 MiB of bytes that are not zero, which is read in
 * order only: its position stays 0 for the process that reads it.
 */
export const FUSE = `fuse() {
  mkdir -p "$1"
  perl -e ${shellQuote(DAEMON)} "$1" "$2" </dev/null >/tmp/fuse-complaints 2>&1 &
  until [ -e /tmp/fuse-waits ]; do [ -d /proc/$! ] || { cat /tmp/fuse-complaints >&2; return 1; }; done
}
`;
