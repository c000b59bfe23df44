# Makes namespaces for the agent, which cannot: unshare(CLONE_NEWUSER) wants a process with one thread, and Node has many.
# For the same reason it enters machines' mount namespaces.
# Perl because perl-base is part of every Debian; this is all that is written in it.
#
# One request a line on standard input, one answer a line on standard output, in order:
#   pair BASE    a user namespace mapping 0..65535 to BASE.., and a network namespace made inside it  -> "PID"
#   idmap BASE   a user namespace with the same mapping and also 65536 -> 0 (for idmapped mounts only) -> "PID"
#   rebind PID SOURCE TARGET ...   read-only binds of host paths in PID's mount namespace, in place of what is at the targets -> "ok"
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
my ($SYS_setns, $SYS_umount2) = $SYS_unshare == 97 ? (268, 39) : (308, 166);
my $SYS_openat = $SYS_unshare == 97 ? 56 : 257;
my ($SYS_open_tree, $SYS_move_mount, $SYS_fsopen, $SYS_fsconfig, $SYS_fsmount, $SYS_mount_setattr) = (428, 429, 430, 431, 432, 442);    # the same everywhere
my %holds;    # pid -> our end of its socket

# What a machine makes of these is also counted for the host user behind all machines: without a bound of its own one could take all there are.
# Only a process with CAP_SYS_RESOURCE in the namespace can change them, which no machine has.
my %most = (inotify_instances => 128, inotify_watches => 65_536, map { +"${_}_namespaces" => 512 } qw(user pid uts ipc net mnt cgroup time));
my %bounds = map { +"user/max_$_" => $most{$_} } keys %most;
# Anyone inside may ping and bind low ports: both are the machine's own network.
my %freedoms = ('net/ipv4/ping_group_range' => '0 65535', 'net/ipv4/ip_unprivileged_port_start' => '0');

# A proc of our own, mounted nowhere, for the kernel's settings; -1 when there is none. In the host's, each name has an entry for every living
# namespace that was ever looked at, all in one row to search: with a thousand machines that took 15 ms for each of them.
sub settings {
    my ($type, $CLOEXEC, $CREATE) = ('proc', 1, 6);
    my $context = syscall $SYS_fsopen, $type, $CLOEXEC;
    my $proc = $context < 0 || syscall($SYS_fsconfig, $context, $CREATE, 0, 0, 0) != 0 ? -1 : syscall $SYS_fsmount, $context, $CLOEXEC, 0;
    POSIX::close($context) if $context >= 0;
    return $proc;
}

# '' or what failed.
sub set {
    my ($proc, %values) = @_;
    for my $name (sort keys %values) {
        my ($path, $value, $WRITE_ONLY) = ("sys/$name", $values{$name}, 1);
        my $file = syscall $SYS_openat, $proc, $path, $WRITE_ONLY, 0;
        next if $file < 0;    # not in this kernel
        POSIX::write($file, $value, length $value) or return "$name: $!";
        POSIX::close($file);
    }
    return '';
}

# '' when the child says what it should.
sub failure_of {
    my ($child, $expected) = @_;
    my $said = <$child> // 'the child ended';
    chomp $said;
    return $said eq $expected ? '' : $said;
}

sub make {
    my ($flags, $map) = @_;
    socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, 0) or die "socketpair: $!\n";
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        # Only our own socket stays open: inherited ends would keep siblings alive.
        close $ours;
        close $_ for values %holds;
        # Not closed: what is opened next would be them, and perl warns of it each time.
        open STDIN,  '<', '/dev/null';
        open STDOUT, '>', '/dev/null';
        # In a namespace for mounts alone nothing runs that could be bound.
        my $proc = $flags & $CLONE_NEWNET ? settings() : undef;
        my $failed = ($proc // 0) < 0 ? "proc: $!" : syscall($SYS_unshare, $flags) != 0 ? "unshare: $!" : '';
        syswrite $theirs, ($failed || 'made') . "\n";
        # Groups can be named only when they are mapped.
        if (defined $proc && defined(my $mapped = <$theirs>)) {
            syswrite $theirs, (set($proc, %bounds, %freedoms) || 'set') . "\n";
            POSIX::close($proc);
        }
        sysread $theirs, my $end, 1;    # until the agent or this process is done with us
        POSIX::_exit(0);
    }
    close $theirs;
    my $failure = failure_of($ours, 'made');
    for my $kind ($failure eq '' ? qw(uid_map gid_map) : ()) {
        # One write each: the kernel takes the whole map at once.
        if (open my $file, '>', "/proc/$pid/$kind") {
            syswrite $file, $map or $failure = "$kind: $!";
            close $file;
        } else { $failure = "$kind: $!" }
        last if $failure ne '';
    }
    if ($failure eq '' && $flags & $CLONE_NEWNET) {
        syswrite $ours, "mapped\n";
        $failure = failure_of($ours, 'set');
    }
    if ($failure ne '') {
        close $ours;
        waitpid $pid, 0;
        die "$failure\n";
    }
    $holds{$pid} = $ours;
    return $pid;
}

# The copies are taken in the host's namespace and put in place in the machine's, whose paths only the kernel's own trees lie on.
sub rebind {
    my ($target, @binds) = @_;
    my ($AT_FDCWD, $AT_EMPTY_PATH, $CLONE_NEWNS) = (-100, 0x1000, 0x20000);
    my ($OPEN_TREE_CLONE, $CLOEXEC, $DETACH_NOFOLLOW, $FROM_EMPTY_PATH) = (1, 02000000, 2 | 8, 4);
    open my $namespace, '<', "/proc/$target/ns/mnt" or die "namespace: $!\n";
    # A process that has ended may have left its number to one of the host's.
    join(' ', (stat $namespace)[0, 1]) ne join(' ', (stat '/proc/self/ns/mnt')[0, 1]) or die "process $target is of the host\n";
    my $empty = '';
    my $attributes = pack 'Q4', 1 | 2 | 4 | 8, 0, 1 << 18, 0;    # read-only, no set-uid, no devices, no programs; private
    my @copies;
    while (my ($source, $place) = splice @binds, 0, 2) {
        my $fd = syscall $SYS_open_tree, $AT_FDCWD, $source, $OPEN_TREE_CLONE | $CLOEXEC;
        die "$source: $!\n" if $fd < 0;
        push @copies, [$fd, $place];
        syscall($SYS_mount_setattr, $fd, $empty, $AT_EMPTY_PATH, $attributes, length $attributes) == 0 or die "$source: $!\n";
    }
    syscall($SYS_setns, fileno $namespace, $CLONE_NEWNS) == 0 or die "setns: $!\n";
    for (@copies) {
        my ($fd, $place) = @$_;
        syscall $SYS_umount2, $place, $DETACH_NOFOLLOW;    # nothing may be there
        syscall($SYS_move_mount, $fd, $empty, $AT_FDCWD, $place, $FROM_EMPTY_PATH) == 0 or die "$place: $!\n";
    }
}

sub in_child {
    my ($work) = @_;
    pipe my $reader, my $writer or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        eval { $work->(); 1 } or syswrite $writer, $@ || 'unknown';
        POSIX::_exit(0);
    }
    close $writer;
    my $said = do { local $/; <$reader> } // '';
    waitpid $pid, 0;
    die $said if $said ne '';
    die "the child ended\n" if $?;
    return 'ok';
}

while (my $line = <STDIN>) {
    my $answer = eval {
        if ($line =~ /^pair (\d+)$/)     { make($CLONE_NEWUSER | $CLONE_NEWNET, "0 $1 65536\n") }
        elsif ($line =~ /^idmap (\d+)$/) { make($CLONE_NEWUSER, "0 $1 65536\n65536 0 1\n") }
        elsif ($line =~ /^done (\d+)$/ && $holds{$1}) { close delete $holds{$1}; waitpid $1, 0; 'ok' }
        elsif ($line =~ m{^rebind (\d+)((?: /\S+ /\S+)+)$}) { my ($pid, @binds) = ($1, split ' ', $2); in_child(sub { rebind($pid, @binds) }) }
        else { die "unknown request\n" }
    };
    if (!defined $answer) { $answer = "error $@"; chomp $answer }
    print "$answer\n";
}
