/**
 * Machines that take memory when told to. Their first process listens; every connection to it is a process of its own in the machine,
 * which takes what it is asked to, says how long that took, proves that what it holds is intact, and gives all back when the connection
 * closes. What it writes cannot be compressed.
 */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type { Interface } from 'node:readline';
import { within } from '../../src/base/within.ts';

const port = 7000;
/** The longest that a claim was ever seen to take, beside whatever else the host had to do, was half a minute. */
const answerTimeoutMs = 300_000;
const forks = 24;
/** Of one process: what sockets hold within the 1,024 open files that it may have. */
const socketsMib = 64;

const server = String.raw`
use strict; use IO::Socket::INET; use Socket; use IO::Handle; use File::Find; use Time::HiRes 'time';
# A process for each part, which takes it and keeps it; 'ok' when all have it.
sub apart {
  my ($peer, $children, $parts, $take) = @_;
  pipe my $ready, my $done; my $begun = @$children;
  for my $part (@$parts) {
    my $pid = fork; defined $pid or return "fork: $!"; push(@$children, $pid), next if $pid;
    # Nobody waits for one that was killed because another still holds the end of a pipe, or the connection.
    close $ready; close $peer; $take->($part); syswrite $done, 'x'; close $done; sleep; exit;
  }
  close $done; for ($begun .. $#$children) { sysread $ready, my $one, 1 or return 'a child has ended' }
  return 'ok';
}
$SIG{CHLD} = 'IGNORE';
my $server = IO::Socket::INET->new(LocalPort => ${port}, Listen => 64, ReuseAddr => 1) or die;
open my $random, '<', '/dev/urandom'; read $random, my $block, 1 << 20;
while (1) {
  my $peer = $server->accept or next;
  # Where no process can be made the connection ends, and the others go on.
  my $pid = fork; if ($pid || !defined $pid) { close $peer; next }
  close $server; $SIG{CHLD} = 'DEFAULT'; $| = 1; select $peer; $| = 1;
  my (@held, @files, @children, @sockets); my $count = 0;
  while (my $line = <$peer>) {
    my ($verb, $kind, $mib) = split ' ', $line;
    my $begun = time; my $answer = 'ok';
    if ($verb eq 'take' && $kind eq 'own') {
      for (1 .. $mib) { push @held, $block; substr($held[-1], 0, 8) = sprintf '%08d', $#held }
    } elsif ($verb eq 'take' && $kind eq 'entries') {
      mkdir "/dev/shm/e$$"; for (1 .. $mib * 1024) { $count++; open my $f, '>', "/dev/shm/e$$/$count" or ($answer = "open: $!", last) }
    } elsif ($verb eq 'take' && $kind eq 'forks') {
      $answer = apart($peer, \@children, [(int($mib / ${forks}) || 1) x ${forks}], sub { for (1 .. shift) { push @held, $block; substr($held[-1], 0, 8) = sprintf '%08d', $_ } });
    } elsif ($verb eq 'take' && $kind eq 'sockets') {
      $answer = 'a child was killed' if grep { waitpid $_, 1 } @children;
      my @parts = (${socketsMib}) x int($mib / ${socketsMib}); push @parts, $mib % ${socketsMib} if $mib % ${socketsMib};
      $answer = apart($peer, \@children, \@parts, sub {
        my ($wanted) = @_;
        for (my $got = 0; $got < $wanted << 20;) {
          socketpair(my $in, my $out, AF_UNIX, SOCK_STREAM, 0) or die "socketpair: $!";
          $in->blocking(0); push @sockets, $in, $out;
          while (my $sent = syswrite $in, $block, 1 << 16) { $got += $sent }
        } }) if $answer eq 'ok';
    } elsif ($verb eq 'take' && $kind eq 'platform') {
      my $left = $mib << 20;
      find(sub { return if $left <= 0 || -l || !-f; open my $file, '<', $_ or return; while ($left > 0 && (my $read = sysread $file, my $part, 1 << 20)) { $left -= $read } }, '/usr');
    } elsif ($verb eq 'take') {
      # Of those that were killed, which left them on the machine's disk.
      for (glob '/tmp/t*') { unlink if m{/t([0-9]+)[.]} && !kill 0, $1 }
      my $path = ($kind eq 'shared' ? '/dev/shm' : '/tmp') . "/t$$." . @files; push @files, $path;
      open my $file, '>', $path or die; for (1 .. $mib) { (syswrite($file, $block) // 0) == 1 << 20 or ($answer = 'write: ' . ($! || 'in part'), last) }
      close $file;
      if ($kind eq 'cache') { open $file, '<', $path; IO::Handle::sync($file); for my $round (1, 2) { seek $file, 0, 0; 1 while sysread $file, my $part, 1 << 20 } }
    } elsif ($verb eq 'check') {
      for (0 .. $#held) { $answer = "block $_ is not what was written" if $held[$_] ne sprintf('%08d', $_) . substr($block, 8) }
    }
    printf $peer "%s %.6f\n", $answer =~ tr/ /_/r, time - $begun;
  }
  kill 'KILL', @children if @children; unlink @files; system 'rm', '-rf', "/dev/shm/e$$" if $count; exit 0;
}
`;

/** For the machine's command: blocks are mapped each by itself, so that what is freed is the host's at once. */
export const memoryMachineCommand = ['/usr/bin/env', 'MALLOC_MMAP_THRESHOLD_=524288', '/usr/bin/perl', '-e', server];

/** `own`: memory of a process. `shared`: a file in memory. `dirty`: a file just written. `cache`: a file written, synced and read. `forks`: memory of many processes, made at once. `entries`: empty files, 1,024 instead of a MiB. `sockets`: what is sent and not read. `platform`: files of `/usr`, which all machines share. */
export type MemoryKind = 'own' | 'shared' | 'dirty' | 'cache' | 'forks' | 'entries' | 'sockets' | 'platform';

export class MemoryTaker implements Disposable {
  readonly #socket: Socket;
  readonly #lines: Interface;
  readonly #waiting: PromiseWithResolvers<string>[] = [];
  #closed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#lines = createInterface({ input: socket });
    this.#lines.on('line', (line) => this.#waiting.shift()?.resolve(line));
    const end = () => {
      this.#closed = true;
      for (const one of this.#waiting.splice(0)) one.reject(new Error('the process in the machine ended'));
    };
    socket.on('close', end);
    socket.on('error', end);
    // Lines hand on what befell their socket, and nobody else hears it.
    this.#lines.on('error', end);
  }

  /** A new process in the machine at this address. */
  static async at(address: string): Promise<MemoryTaker> {
    for (const deadline = performance.now() + 30_000; ;) {
      const socket = connect({ host: address, port });
      const connected = Promise.withResolvers<boolean>();
      socket.once('connect', () => connected.resolve(true));
      socket.once('error', () => connected.resolve(false));
      if (await connected.promise) return new MemoryTaker(socket);
      if (performance.now() > deadline) throw new Error(`nothing listens at ${address}:${port}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Milliseconds that it took; refused or killed is an error. */
  take(kind: MemoryKind, mib: number): Promise<number> {
    return this.#ask(`take ${kind} ${mib}`);
  }

  check(): Promise<number> {
    return this.#ask('check');
  }

  async #ask(line: string): Promise<number> {
    if (this.#closed) throw new Error(`${line}: the process in the machine has ended`);
    const answer = Promise.withResolvers<string>();
    this.#waiting.push(answer);
    this.#socket.write(`${line}\n`);
    const told = await within(answer.promise, answerTimeoutMs).catch((cause: unknown) => Promise.reject(new Error(line, { cause })));
    if (told === null) throw new Error(`${line}: no answer within ${answerTimeoutMs / 1000} s`);
    const [word, seconds] = told.split(' ');
    if (word !== 'ok') throw new Error(`${line}: ${word?.replaceAll('_', ' ')}`);
    return Number(seconds) * 1000;
  }

  /** All it has goes back. */
  [Symbol.dispose](): void {
    this.#closed = true;
    this.#lines.close();
    this.#socket.destroy();
  }
}
