#!/usr/bin/perl
# orphans.pl PROGRAM [ARGUMENT]...: runs a program as init of a container would, and prints how many processes it left to init to be
# waited for, once all of them have ended (prctl(2), PR_SET_CHILD_SUBREAPER).
use strict;
use warnings;
use POSIX ();

my %prctl_number = (x86_64 => 157, aarch64 => 167, riscv64 => 167, ppc64le => 171, s390x => 172);
my $machine = (POSIX::uname())[4];
my $prctl = $prctl_number{$machine} or die "orphans.pl: unknown machine $machine\n";
syscall($prctl, 36, 1, 0, 0, 0) == 0 or die "orphans.pl: prctl: $!\n";
my $pid = fork() // die "orphans.pl: fork: $!\n";
if ($pid == 0) {
    exec { $ARGV[0] } @ARGV or die "orphans.pl: $ARGV[0]: $!\n";
}
my $orphans = 0;
while ((my $ended = wait()) > 0) {
    $orphans++ if $ended != $pid;
}
print "orphans: $orphans\n";
