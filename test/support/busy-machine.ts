/**
 * Machines that are busy, and know when they stood still. The first process does nothing but look at the clock; beside it one computes, one
 * takes and gives back memory, one writes and removes files and starts processes. Time in which the first one waited for its turn on a
 * CPU, or for the next period of its machine's own ceiling, is not counted: neither comes from being resized.
 */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const port = 7001;
const startMs = 30_000;
/** What it needs at most, all together. */
export const busyNeeds = { memoryMib: 72, diskMib: 16, processes: 12 } as const;

const program = String.raw`
use strict; use IO::Socket::INET; use Time::HiRes qw(time sleep);
$SIG{CHLD} = 'IGNORE';
fork or do { my $n = 0; while (1) { $n += $_ for 1 .. 10000; sleep 0.002 } };
fork or do { my $held = 'x' x (24 << 20); while (1) { my $more = 'y' x ((1 + int rand 12) << 20); substr($held, 4096 * int(rand 6000), 1) = 'z'; sleep 0.02 } };
fork or do { $SIG{CHLD} = 'DEFAULT'; while (1) { open my $f, '>', '/tmp/busy' or next; print $f 'x' x ((1 + int rand 8) << 20); close $f; unlink '/tmp/busy'; system '/bin/true'; sleep 0.05 } };
my $server = IO::Socket::INET->new(LocalPort => ${port}, Listen => 64, ReuseAddr => 1) or die;
my ($stat, $unit) = -e '/sys/fs/cgroup/cpu.stat' ? ('/sys/fs/cgroup/cpu.stat', 1e6) : ('/sys/fs/cgroup/cpu/cpu.stat', 1e9);
sub waited {
  open my $f, '<', '/proc/self/schedstat' or return 0; my $queued = (split ' ', <$f>)[1] / 1e9;
  open $f, '<', $stat or return $queued; return $queued + (join('', <$f>) =~ /throttled_(?:time|usec) (\d+)/ ? $1 / $unit : 0);
}
my ($stood, $gap, $ticks, $delay, $at) = (0, 0, 0, waited(), time);
while (1) {
  vec(my $in = '', fileno $server, 1) = 1; my $came = select $in, undef, undef, 0.005;
  my ($now, $waited) = (time, waited()); my $took = $now - $at - 0.005;
  $gap = $took if $took > $gap; my $still = $took - ($waited - $delay); $stood = $still if $still > $stood; $ticks++;
  if ($came > 0 and my $peer = $server->accept) { printf $peer "%.6f %.6f %d\n", $stood, $gap, $ticks; close $peer; ($stood, $gap, $ticks) = (0, 0, 0) }
  ($delay, $at) = (waited(), time);
}
`;

export const busyMachineCommand = ['/usr/bin/perl', '-e', program];

export interface Stillness {
  /** The longest time in which it neither ran nor waited for a CPU, since it was asked last. */
  stoodMs: number;
  /** The same with the waiting. */
  gapMs: number;
  ticks: number;
}

/** Waits for a machine that has just been started. */
export const stillness = async (address: string): Promise<Stillness> => {
  const text = await ask(address);
  const [stood, gap, ticks] = text.trim().split(' ').map(Number);
  return { stoodMs: stood! * 1000, gapMs: gap! * 1000, ticks: ticks! };
};

const ask = async (address: string): Promise<string> => {
  for (const deadline = Date.now() + startMs; ; await sleep(20)) {
    const socket = connect({ host: address, port });
    try {
      let text = '';
      for await (const part of socket.setEncoding('utf8')) text += part as string;
      return text;
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
};
