/**
 * What this host's kernel takes for the things that everything here is made of. Guests differ by a factor of ten in them and not at all in the
 * speed of their processor, so that a figure from one host says little of another without.
 */
import { run } from '../../src/exec/run.ts';

export interface HostCosts {
  /** One system call that does nothing. */
  systemCallNs: number;
  /** Memory touched for the first time, a page. */
  pageFaultNs: number;
  /** A process made, another program in it, and its end, waited for. */
  processUs: number;
}

/** Each three times: the first is warm-up, the least of the others counts. */
const program = `
use strict; use Time::HiRes 'time';
my ($calls, $bytes, $processes) = (50_000, 64 << 20, 40);
my %least;
sub least { my ($what, $each, $work) = @_;
  for my $round (0 .. 2) { my $begun = time; $work->(); my $took = (time - $begun) / $each;
    $least{$what} = $took if $round && (!defined $least{$what} || $took < $least{$what}) } }
least('nothing', $calls, sub { for (1 .. $calls) { my $x = abs $_ } });
least('call', $calls, sub { for (1 .. $calls) { my $x = getppid } });
least('page', $bytes / 4096, sub { my $memory = "\\0" x $bytes; undef $memory });
least('process', $processes, sub { for (1 .. $processes) { my $pid = fork // die; exec '/bin/true' unless $pid; waitpid $pid, 0 } });
printf "%.9f %.9f %.9f\\n", $least{call} - $least{nothing}, $least{page}, $least{process};
`;

export const measureHostCosts = async (): Promise<HostCosts> => {
  const told = await run('perl', ['-e', program]);
  const [call, page, process] = told.trim().split(' ').map(Number) as [number, number, number];
  return { systemCallNs: Math.round(call * 1e9), pageFaultNs: Math.round(page * 1e9), processUs: Math.round(process * 1e6) };
};

export const toldCosts = ({ systemCallNs, pageFaultNs, processUs }: HostCosts): string =>
  `a system call ${(systemCallNs / 1000).toFixed(2)} µs, a page fault ${(pageFaultNs / 1000).toFixed(1)} µs, a process ${(processUs / 1000).toFixed(2)} ms`;
