/** Pieces of shell for use inside testbeds whose root file system has few tools. */

/** A shell function `tmpfs SOURCE TARGET`: mount(2) by perl, which every Debian has, where mount(8) may be missing. */
export const TMPFS = `tmpfs() {
  perl -e 'use POSIX; my %mount = (x86_64 => 165, aarch64 => 40, riscv64 => 40, ppc64le => 21, s390x => 21);
    my ($number, $type) = ($mount{(POSIX::uname())[4]}, "tmpfs");
    syscall($number, $ARGV[0], $ARGV[1], $type, 0, 0) == 0 or die "mount: $!"' "$1" "$2"
}
`;

/**
 * A shell function `fuse FOLDER WAITER`: mounts FUSE on a folder, by a daemon in perl that answers nothing but the kernel's first
 * question, and returns when WAITER, `child` or `other`, has asked it for something and waits. A child has the daemon's
 * descriptor too, so that the end of the daemon does not end its waiting; another process has not, and the daemon is stopped.
 */
export const FUSE = `fuse() {
  mkdir -p "$1"
  perl -e 'use strict; use Fcntl; use POSIX ();
    my %mount = (x86_64 => 165, aarch64 => 40, riscv64 => 40, ppc64le => 21, s390x => 21);
    my ($folder, $waiter) = @ARGV;
    sysopen(my $fuse, "/dev/fuse", O_RDWR) or die "/dev/fuse: $!";
    my ($source, $type) = ("hanging", "fuse");
    my $options = "fd=" . fileno($fuse) . ",rootmode=40000,user_id=$>,group_id=" . ($) + 0);
    syscall($mount{(POSIX::uname())[4]}, $source, $folder, $type, 0, $options) == 0 or die "mount: $!";
    sysread($fuse, my $question, 100000) or die "no question: $!";
    my (undef, undef, $unique) = unpack "LLQ", $question;
    my $answer = pack "L4S2L2S2L8", 7, 31, 65536, 0, 16, 12, 65536, 1, 16, 0, (0) x 8;
    syswrite($fuse, pack("LlQ", 16 + length $answer, 0, $unique) . $answer) or die "no answer: $!";
    if (fork() == 0) { close $fuse if $waiter eq "other"; stat "$folder/file"; exit }
    sysread($fuse, $question, 100000);
    open my $done, ">", "/tmp/fuse-waits";
    kill "STOP", $$ if $waiter eq "other";
    sleep 1000' "$1" "$2" </dev/null >/tmp/fuse-complaints 2>&1 &
  until [ -e /tmp/fuse-waits ]; do [ -d /proc/$! ] || { cat /tmp/fuse-complaints >&2; return 1; }; done
}
`;
