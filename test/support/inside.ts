/** Pieces of shell for use inside testbeds whose root file system has few tools. */

/** A shell function `tmpfs SOURCE TARGET`: mount(2) by perl, which every Debian has, where mount(8) may be missing. */
export const TMPFS = `tmpfs() {
  perl -e 'use POSIX; my %mount = (x86_64 => 165, aarch64 => 40, riscv64 => 40, ppc64le => 21, s390x => 21);
    my ($number, $type) = ($mount{(POSIX::uname())[4]}, "tmpfs");
    syscall($number, $ARGV[0], $ARGV[1], $type, 0, 0) == 0 or die "mount: $!"' "$1" "$2"
}
`;

/** Of a FUSE daemon: the numbers of the questions that `fuse` below can leave unanswered. */
export const QUESTIONS = { lookup: 1, getattr: 3, open: 14, read: 15 } as const;

/**
 * A shell function `fuse FOLDER WAITER`: mounts FUSE on a folder, by a daemon in perl.
 *
 * With WAITER `child` or `other` it answers nothing but the kernel's first question, and the function returns when that
 * process has asked it for something and waits. A child has the daemon's descriptor too, so that the end of the daemon does not
 * end its waiting; another process has not, and the daemon is stopped.
 *
 * With one of QUESTIONS for WAITER every name in the folder is a file of 4096 bytes, until that is asked: it is taken and never
 * answered, nor is anything after it. With `/COUNT` behind it, that many are answered before.
 *
 * With WAITER `stream` everything is answered, and every name is a file of 20 MiB of bytes that are not zero, which is read in
 * order only: its position stays 0 for who reads it.
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
    my ($question, $asked, $unique);
    my $stream = $waiter eq "stream";
    my $size = $stream ? 20 << 20 : 4096;
    my @given = (0);
    my $hear = sub {
      sysread($fuse, $question, 100000) or die "no question: $!";
      (undef, $asked, $unique, my $node) = unpack "LLQQ", $question;
      $node;
    };
    my $tell = sub {
      my ($error, $answer) = @_;
      syswrite($fuse, pack("LlQ", 16 + length $answer, $error, $unique) . $answer) or die "no answer: $!";
    };
    my $waits = sub { open my $done, ">", "/tmp/fuse-waits" };
    $hear->();
    $tell->(0, pack "L4S2L2S2L8", 7, 31, 65536, 0, 16, 12, 65536, 1, 16, 0, (0) x 8);
    if ($stream || $waiter =~ m{^(\\d+)(?:/(\\d+))?$}) {
      my ($last, $before) = $stream ? (0, 0) : ($1, $2 // 0);
      $waits->();
      for (;;) {
        my $node = $hear->();
        last if $asked == $last && $before-- == 0;
        my $root = $asked != 1 && $node == 1;
        my $attributes = pack "Q6L10", $root ? 1 : 2, $size, 8, (0) x 6, $root ? 040755 : 0100644, 1, (0) x 3, 4096, 0;
        if ($asked == 1) { $tell->(0, pack("Q4L2", 2, (0) x 5) . $attributes) }
        elsif ($asked == 3 || $asked == 4) { $tell->(0, pack("QL2", 0, 0, 0) . $attributes) }
        elsif ($asked == 14) { push @given, 0; $tell->(0, pack "QL2", $#given, $stream ? 17 : 0, 0) }
        elsif ($asked == 15 && $stream) {
          my ($file, undef, $wanted) = unpack "x40QQL", $question;
          my $left = $size - $given[$file];
          $wanted = $left if $wanted > $left;
          $given[$file] += $wanted;
          $tell->(0, "x" x $wanted);
        }
        elsif ($asked == 15) { $tell->(0, "x" x 4096) }
        elsif ($asked != 2 && $asked != 36 && $asked != 42) { $tell->(-38, "") }
      }
    } else {
      if (fork() == 0) { close $fuse if $waiter eq "other"; stat "$folder/file"; exit }
      $hear->();
      $waits->();
      kill "STOP", $$ if $waiter eq "other";
    }
    sleep 1000' "$1" "$2" </dev/null >/tmp/fuse-complaints 2>&1 &
  until [ -e /tmp/fuse-waits ]; do [ -d /proc/$! ] || { cat /tmp/fuse-complaints >&2; return 1; }; done
}
`;
