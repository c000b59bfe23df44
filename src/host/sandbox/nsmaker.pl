# Makes namespaces for the agent, which cannot: unshare(CLONE_NEWUSER) wants a process with one thread, and Node has many.
# Perl because perl-base is part of every Debian; this is all that is written in it.
#
# One request a line on standard input, one answer a line on standard output, in order:
#   pair BASE    a user namespace mapping 0..65535 to BASE.., and a network namespace made inside it  -> "PID"
#   idmap BASE   a user namespace with the same mapping and also 65536 -> 0 (for idmapped mounts only) -> "PID"
#   done PID     the agent has opened what it wants of /proc/PID/ns: the holding process may go       -> "ok"
# Anything that fails answers "error TEXT". The end of standard input ends this process and all it holds.
use strict;
use warnings;
use POSIX ();
use Socket;
$| = 1;
$SIG{PIPE} = 'IGNORE';
my ($CLONE_NEWUSER, $CLONE_NEWNET) = (0x10000000, 0x40000000);
my $SYS_unshare = (POSIX::uname())[4] =~ /^(aarch64|riscv64)/ ? 97 : 272;
my %holds;    # pid -> our end of its socket

sub make {
    my ($flags, $map) = @_;
    socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, 0) or die "socketpair: $!\n";
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        # Only our own socket stays open: inherited ends would keep siblings alive.
        close $ours;
        close $_ for values %holds;
        close STDIN;
        close STDOUT;
        my $failed = syscall($SYS_unshare, $flags) == 0 ? '' : "$!";
        syswrite $theirs, $failed eq '' ? "made\n" : "unshare: $failed\n";
        sysread $theirs, my $end, 1;    # until the agent or this process is done with us
        POSIX::_exit(0);
    }
    close $theirs;
    my $said = <$ours> // '';
    chomp $said;
    my $failure = $said eq 'made' ? '' : ($said || 'the child ended');
    for my $kind ($failure eq '' ? qw(uid_map gid_map) : ()) {
        # One write each: the kernel takes the whole map at once.
        if (open my $file, '>', "/proc/$pid/$kind") {
            syswrite $file, $map or $failure = "$kind: $!";
            close $file;
        } else { $failure = "$kind: $!" }
        last if $failure ne '';
    }
    if ($failure ne '') {
        close $ours;
        waitpid $pid, 0;
        die "$failure\n";
    }
    $holds{$pid} = $ours;
    return $pid;
}

while (my $line = <STDIN>) {
    my $answer = eval {
        if ($line =~ /^pair (\d+)$/)     { make($CLONE_NEWUSER | $CLONE_NEWNET, "0 $1 65536\n") }
        elsif ($line =~ /^idmap (\d+)$/) { make($CLONE_NEWUSER, "0 $1 65536\n65536 0 1\n") }
        elsif ($line =~ /^done (\d+)$/ && $holds{$1}) { close delete $holds{$1}; waitpid $1, 0; 'ok' }
        else { die "unknown request\n" }
    };
    if (!defined $answer) { $answer = "error $@"; chomp $answer }
    print "$answer\n";
}
