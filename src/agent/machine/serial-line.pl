# Runs inside a machine, with its own perl and its own rights: makes /dev/ttyS1, a terminal of the machine's own, and passes bytes between
# it and the metadata socket, both ways, as they are. The stock client of SmartOS's metadata on Linux opens a serial line and nothing else.
use strict;
use warnings;
use Fcntl;
use POSIX ();
use Socket;

my ($line, $place) = ('/dev/ttyS1', '/.zonecontrol/metadata.sock');
my ($TIOCSPTLCK, $TIOCGPTN, $TCGETS, $TCSETS, $TCFLSH) = (0x40045431, 0x80045430, 0x5401, 0x5402, 0x540b);
my $patience = 2;    # seconds that a client may take to read its answer; what it leaves is not the next one's

sysopen my $ours, '/dev/ptmx', O_RDWR | O_NOCTTY or die "/dev/ptmx: $!\n";
my $locked = pack 'i', 0;
ioctl $ours, $TIOCSPTLCK, $locked or die "unlock: $!\n";
my $number = pack 'i', 0;
ioctl $ours, $TIOCGPTN, $number or die "number: $!\n";
my $name = '/dev/pts/' . unpack 'i', $number;
# Held open, or our end would be hung up whenever a client has left.
sysopen my $theirs, $name, O_RDWR | O_NOCTTY or die "$name: $!\n";
my $mode = "\0" x 64;
ioctl $theirs, $TCGETS, $mode or die "mode: $!\n";
my ($in, $out, $control, $local, $discipline, @characters) = unpack 'L4 C C19', $mode;
@characters[5, 6] = (0, 1);    # a read waits for one byte
$mode = pack 'L4 C C19', 0, 0, $control, 0, $discipline, @characters;
ioctl $theirs, $TCSETS, $mode or die "raw: $!\n";
chmod 0600, $name or die "$name: $!\n";
unlink $line;
symlink $name, $line or die "$line: $!\n";

# Whoever started this waits until the line is there, and no longer.
defined(my $child = fork) or die "fork: $!\n";
POSIX::_exit(0) if $child;
POSIX::setsid();
open STDIN, '<', '/dev/null';
open STDOUT, '>', '/dev/null';
open STDERR, '>', '/dev/null';
$SIG{PIPE} = $SIG{HUP} = 'IGNORE';

# Within so many seconds; false when it could not be.
sub ready {
    my ($handle, $seconds) = @_;
    my $set = '';
    vec($set, fileno $handle, 1) = 1;
    return select undef, $set, undef, $seconds;
}

sub pass {
    my ($to, $bytes) = @_;
    for (my $at = 0; $at < length $bytes;) {
        ready($to, $patience) or return 0;
        my $count = syswrite $to, $bytes, length($bytes) - $at, $at;
        next if !defined $count && ($!{EINTR} || $!{EAGAIN});
        return 0 unless $count;
        $at += $count;
    }
    return 1;
}

# The host's side may be away for a moment.
sub reach {
    for (1 .. 20) {
        socket my $socket, PF_UNIX, SOCK_STREAM, 0 or return;
        return $socket if connect $socket, sockaddr_un($place);
        select undef, undef, undef, 0.1;
    }
    return;
}

fcntl $ours, F_SETFL, O_RDWR | O_NONBLOCK;
my $socket;
while (1) {
    my $set = '';
    vec($set, fileno $ours, 1) = 1;
    vec($set, fileno $socket, 1) = 1 if $socket;
    select $set, undef, undef, undef;
    if ($socket && vec $set, fileno $socket, 1) {
        my $count = sysread $socket, my $bytes, 65536;
        if (!$count) { undef $socket }    # it ends what has been idle
        elsif (!pass($ours, $bytes)) { ioctl $theirs, $TCFLSH, 2; undef $socket }
    }
    next unless vec $set, fileno $ours, 1;
    my $count = sysread $ours, my $bytes, 65536;
    last if !defined $count && !$!{EINTR} && !$!{EAGAIN};
    next unless $count;
    $socket ||= reach();
    undef $socket if $socket && !pass($socket, $bytes);
}
