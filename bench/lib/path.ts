/** What a way between two network namespaces carries: one stream, the smallest packets, and how long one there and back takes. */
import { run, start } from '../../src/exec/run.ts';
import { throughput } from './throughput.ts';

export interface Ends {
  /** Processes in the two namespaces. */
  from: number;
  to: number;
  /** Of the second. */
  address: string;
}

export interface Carried {
  gbps: number;
  packetsPerSecond: number;
  /** Of the sender's processor for one of the smallest packets, all the way into the receiver's socket. What else the host does hardly shows in it. */
  packetUs: number;
  roundTripUs: number;
}

const port = 5201;
const echoPort = 5202;
const sinkPort = 5203;
const echoes = 20_000;

/** Every datagram is sent back, until the end of the input. Perl, whose own share of a round trip is small. */
const echo =
  'use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6); use IO::Select; my ($port, $own) = @ARGV; my $six = $own =~ /:/; socket(my $s, $six ? PF_INET6 : PF_INET, SOCK_DGRAM, 0); bind($s, $six ? pack_sockaddr_in6($port, inet_pton(AF_INET6, $own)) : pack_sockaddr_in($port, inet_aton($own))) or die $!; $| = 1; print "ready\\n"; my $both = IO::Select->new($s, \\*STDIN); while (1) { my ($one) = $both->can_read; exit if $one != $s; my $from = recv($s, my $data, 64, 0); send($s, $data, 0, $from); }';
/** Microseconds of the median round trip. */
const ask =
  'use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6); use Time::HiRes "time"; my ($to, $port, $count) = @ARGV; my $six = $to =~ /:/; socket(my $s, $six ? PF_INET6 : PF_INET, SOCK_DGRAM, 0); connect($s, $six ? pack_sockaddr_in6($port, inet_pton(AF_INET6, $to)) : pack_sockaddr_in($port, inet_aton($to))); $SIG{ALRM} = sub { die "no answer\\n" }; alarm 30; my @t; for (1 .. $count) { my $at = time; send($s, "x", 0); recv($s, my $data, 64, 0); push @t, time - $at; } @t = sort { $a <=> $b } @t; print 1e6 * $t[$count / 2];';

/** Nobody reads what comes here. */
const sink =
  'use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6); my ($port, $own) = @ARGV; my $six = $own =~ /:/; socket(my $s, $six ? PF_INET6 : PF_INET, SOCK_DGRAM, 0); setsockopt($s, SOL_SOCKET, SO_RCVBUF, 2048); bind($s, $six ? pack_sockaddr_in6($port, inet_pton(AF_INET6, $own)) : pack_sockaddr_in($port, inet_aton($own))) or die $!; $| = 1; print "ready\n"; <STDIN>';
/** Microseconds of this process' own for a packet, the least of 30 rounds. */
const pour =
  'use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6); use Time::HiRes qw(clock_gettime CLOCK_PROCESS_CPUTIME_ID); my ($to, $port) = @ARGV; my $six = $to =~ /:/; socket(my $s, $six ? PF_INET6 : PF_INET, SOCK_DGRAM, 0); connect($s, $six ? pack_sockaddr_in6($port, inet_pton(AF_INET6, $to)) : pack_sockaddr_in($port, inet_aton($to))); my $least; for (1 .. 30) { my $at = clock_gettime(CLOCK_PROCESS_CPUTIME_ID); send($s, "0123456789abcdef", 0) for 1 .. 5000; my $took = clock_gettime(CLOCK_PROCESS_CPUTIME_ID) - $at; $least = $took if !defined $least || $took < $least; } print 1e6 * $least / 5000;';

interface UdpReport {
  end?: { sum?: { packets: number; lost_packets: number; seconds: number } };
}

export const carried = async ({ from, to, address }: Ends, seconds: number): Promise<Carried> => {
  const inside = (pid: number, ...words: string[]): Promise<string> => run('nsenter', ['--net', '--target', String(pid), ...words], { timeoutMs: 60_000 });
  const server = start('nsenter', ['--net', '--target', String(to), 'iperf3', '--server'], { stdio: 'ignore' });
  const echoing = start('nsenter', ['--net', '--target', String(to), 'perl', '-e', echo, String(echoPort), address], { stdio: ['pipe', 'pipe', 'inherit'] });
  const sinking = start('nsenter', ['--net', '--target', String(to), 'perl', '-e', sink, String(sinkPort), address], { stdio: ['pipe', 'pipe', 'inherit'] });
  try {
    for (const { stdout } of [echoing, sinking]) if (stdout!.readableLength === 0) await new Promise((resolve) => stdout!.once('readable', resolve));
    const packetUs = Number(await inside(from, 'perl', '-e', pour, address, String(sinkPort)));
    const roundTripUs = Number(await inside(from, 'perl', '-e', ask, address, String(echoPort), String(echoes)));
    const iperf = (...words: string[]): Promise<string> => inside(from, 'iperf3', ...words);
    const gbps = await throughput(iperf, address, port, seconds);
    const small = ['--udp', '--bitrate', '0', '--length', '16', '--client', address, '--port', String(port), '--time', String(seconds), '--json'];
    const sum = (JSON.parse(await iperf(...small)) as UdpReport).end?.sum;
    if (sum === undefined) throw new Error('iperf3 sent no datagrams');
    return { gbps, packetsPerSecond: (sum.packets - sum.lost_packets) / sum.seconds, packetUs, roundTripUs };
  } finally {
    server.kill('SIGKILL');
    echoing.kill('SIGKILL');
    sinking.kill('SIGKILL');
  }
};
