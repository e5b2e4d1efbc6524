#!/usr/bin/perl
# A FUSE daemon that is wrong on purpose: it stops answering. FUSE in inside.ts starts it in a testbed; fuse(4) describes
# the messages.
#
# argv: FOLDER WAITER, see inside.ts
# /tmp/fuse-waits is created when the folder is ready, or when the process that waits has asked
use strict;
use warnings;
use Fcntl;
use POSIX ();

my ($LOOKUP, $FORGET, $GETATTR, $SETATTR, $OPEN, $READ, $INTERRUPT, $BATCH_FORGET) = (1 .. 4, 14, 15, 36, 42);
my ($DIRECT_IO_AND_STREAM, $ENOSYS) = (17, 38);
# mount(2) by its number: mount(8) may be missing in the testbed.
my %mount_number = (x86_64 => 165, aarch64 => 40, riscv64 => 40, ppc64le => 21, s390x => 21);

my ($folder, $waiter) = @ARGV;
sysopen(my $fuse, "/dev/fuse", O_RDWR) or die "/dev/fuse: $!";
my ($source, $type) = ("hanging", "fuse");
my $options = "fd=" . fileno($fuse) . ",rootmode=40000,user_id=$>,group_id=" . ($) + 0);
syscall($mount_number{(POSIX::uname())[4]}, $source, $folder, $type, 0, $options) == 0 or die "mount: $!";

my ($request, $asked, $unique);

# Reads a request; gives the number of the file that it is about.
sub next_request {
    sysread($fuse, $request, 100000) or die "no request: $!";
    (undef, $asked, $unique, my $node) = unpack "LLQQ", $request;
    return $node;
}

sub answer {
    my ($error, $data) = @_;
    syswrite($fuse, pack("LlQ", 16 + length $data, $error, $unique) . $data) or die "no answer: $!";
}

sub report_ready {
    open(my $file, ">", "/tmp/fuse-waits") or die "/tmp/fuse-waits: $!";
}

# Answers all requests but the one with the number $last, of which $before are answered first. Every name is a file.
sub serve {
    my ($stream, $last, $before) = @_;
    my $size = $stream ? 20 << 20 : 4096;
    # Bytes that were read through each open file; its index is its handle.
    my @given = (0);
    for (;;) {
        my $node = next_request();
        last if $asked == $last && $before-- == 0;
        my $root = $asked != $LOOKUP && $node == 1;
        my $attributes = pack "Q6L10", $root ? 1 : 2, $size, 8, (0) x 6, $root ? 040755 : 0100644, 1, (0) x 3, 4096, 0;
        if ($asked == $LOOKUP) { answer(0, pack("Q4L2", 2, (0) x 5) . $attributes) }
        elsif ($asked == $GETATTR || $asked == $SETATTR) { answer(0, pack("QL2", 0, 0, 0) . $attributes) }
        elsif ($asked == $OPEN) {
            push @given, 0;
            answer(0, pack "QL2", $#given, $stream ? $DIRECT_IO_AND_STREAM : 0, 0);
        }
        elsif ($asked == $READ && $stream) {
            my ($handle, undef, $wanted) = unpack "x40QQL", $request;
            my $left = $size - $given[$handle];
            $wanted = $left if $wanted > $left;
            $given[$handle] += $wanted;
            answer(0, "x" x $wanted);
        }
        elsif ($asked == $READ) { answer(0, "x" x 4096) }
        elsif ($asked != $FORGET && $asked != $INTERRUPT && $asked != $BATCH_FORGET) { answer(-$ENOSYS, "") }
    }
}

# FUSE_INIT: version 7.31.
next_request();
answer(0, pack "L4S2L2S2L8", 7, 31, 65536, 0, 16, 12, 65536, 1, 16, 0, (0) x 8);
if ($waiter eq "stream") {
    report_ready();
    serve(1, 0, 0);
}
elsif ($waiter =~ m{^(\d+)(?:/(\d+))?$}) {
    my ($last, $before) = ($1, $2 // 0);
    report_ready();
    serve(0, $last, $before);
}
else {
    if (fork() == 0) {
        close $fuse if $waiter eq "other";
        stat "$folder/file";
        exit;
    }
    next_request();
    report_ready();
    kill "STOP", $$ if $waiter eq "other";
}
sleep 1000;
