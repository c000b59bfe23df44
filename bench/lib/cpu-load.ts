/** Programs that use CPU, in Perl, so that they are the same inside a machine and on the bare host. */

/** `THREADS SECONDS`: says how many rounds all of them did. */
export const spin = String.raw`
use Time::HiRes 'time'; my ($threads, $seconds) = @ARGV; my $end = time + $seconds; my @from;
for (1 .. $threads) {
  pipe my $read, my $write; push @from, $read;
  next if fork; my $rounds = 0;
  while (time < $end) { my $x = 0; $x += $_ * $_ for 1 .. 20_000; $rounds++ }
  syswrite $write, "$rounds\n"; exit 0;
}
my $sum = 0; for (@from) { $sum += <$_> } print "$sum\n";
`;

/**
 * `REQUESTS PAUSE_MS`: wakes again and again, works for a millisecond of CPU, and says for each how long that took from the moment it
 * was to wake, in milliseconds. The work is measured when it is alone, by `calibrate`, and given as rounds.
 */
export const wake = String.raw`
use Time::HiRes qw(time sleep); my ($requests, $pause, $rounds) = @ARGV; my @took;
for (1 .. $requests) {
  my $due = time + $pause / 1000 * (0.5 + rand); sleep($due - time);
  my $x = 0; $x += $_ * $_ for 1 .. $rounds; push @took, sprintf '%.3f', (time - $due) * 1000;
}
print join(',', @took), "\n";
`;

/** Says how many rounds are a millisecond. */
export const calibrate = String.raw`
use Time::HiRes 'time'; my $best = 1e9;
for (1 .. 200) { my $begun = time; my $x = 0; $x += $_ * $_ for 1 .. 20_000; my $took = time - $begun; $best = $took if $took < $best }
printf "%d\n", 20_000 / ($best * 1000);
`;
