#!/usr/bin/perl
# Runs a program and becomes the parent of every process that descends from it and loses its own (prctl(2),
# PR_SET_CHILD_SUBREAPER). Ends when the last of them has ended: then, and only then, nothing that runs is left of the program.
#
# argv: PROGRAM [ARGUMENT]...
# descriptor 3: gets the lines "started PID" and "ended STATUS"; STATUS is as in a shell
use strict;
use warnings;
use POSIX ();

my %prctl_number = (x86_64 => 157, aarch64 => 167, riscv64 => 167, ppc64le => 171, s390x => 172);
my $machine = (POSIX::uname())[4];
my $prctl = $prctl_number{$machine} or die "reaper.pl: unknown machine $machine\n";
syscall($prctl, 36, 1, 0, 0, 0) == 0 or die "reaper.pl: prctl: $!\n";

my $pid = fork() // die "reaper.pl: fork: $!\n";
if ($pid == 0) {
    POSIX::close(3);
    exec { $ARGV[0] } @ARGV or die "reaper.pl: $ARGV[0]: $!\n";
}
open(my $report, '>&=', 3) or die "reaper.pl: descriptor 3: $!\n";
syswrite($report, "started $pid\n");
# Only the program itself may keep its pipes open.
POSIX::close($_) for 0, 1, 2;
while ((my $ended = wait()) > 0) {
    next if $ended != $pid;
    my $status = $? & 127 ? 128 + ($? & 127) : $? >> 8;
    syswrite($report, "ended $status\n");
}
