/** Pieces of shell for use inside testbeds whose root file system has few tools. */

/** A shell function `tmpfs SOURCE TARGET`: mount(2) by perl, which every Debian has, where mount(8) may be missing. */
export const TMPFS = `tmpfs() {
  perl -e 'use POSIX; my %mount = (x86_64 => 165, aarch64 => 40, riscv64 => 40, ppc64le => 21, s390x => 21);
    my ($number, $type) = ($mount{(POSIX::uname())[4]}, "tmpfs");
    syscall($number, $ARGV[0], $ARGV[1], $type, 0, 0) == 0 or die "mount: $!"' "$1" "$2"
}
`;
