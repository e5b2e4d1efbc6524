#!/usr/bin/perl
# Runs a program in which system calls fail with ENOSYS, as on an older kernel: a filter of seccomp(2). Needs CAP_SYS_ADMIN, because a
# program with no_new_privs could not use newuidmap.
#
# argv: NUMBER[,NUMBER]... PROGRAM [ARGUMENT]...
use strict;
use warnings;
use POSIX ();

my %seccomp_number = (x86_64 => 317, aarch64 => 277, riscv64 => 277);
my $seccomp = $seccomp_number{(POSIX::uname())[4]} or die "without-calls.pl: unknown machine\n";
my ($numbers, @program) = @ARGV;
my @numbers = split /,/, $numbers;
# struct sock_filter: code, jt, jf, k. Loads the number of the system call, compares, and returns.
my @filter = (pack('SCCL', 0x20, 0, 0, 0));
push @filter, pack('SCCL', 0x15, @numbers - $_, 0, $numbers[$_]) for 0 .. $#numbers;
push @filter, pack('SCCL', 0x06, 0, 0, 0x7fff0000), pack('SCCL', 0x06, 0, 0, 0x00050000 | 38);
my $filter = join '', @filter;
my $program = pack('SxxxxxxP', scalar @filter, $filter);
syscall($seccomp, 1, 0, $program) == 0 or die "without-calls.pl: seccomp: $!\n";
exec { $program[0] } @program or die "without-calls.pl: $program[0]: $!\n";
