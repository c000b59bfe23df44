/** Programs that read and write a disk, in Perl. Their files are made with `write` first. */

/** `FILE MIB SECONDS`: writes it from its begin to its end again and again, synced each time, at least once; says how many MiB that was. */
export const write = String.raw`
use Time::HiRes 'time'; use IO::Handle; my ($file, $mib, $seconds) = @ARGV; my $end = time + $seconds; my $written = 0;
open my $random, '<', '/dev/urandom' or die; read $random, my $block, 1 << 20;
open my $to, (-e $file ? '+<' : '+>'), $file or die "$file: $!";
do {
  sysseek $to, 0, 0;
  for (1 .. $mib) { syswrite($to, $block) == 1 << 20 or die "$file: $!"; $written++ }
  $to->sync;
} while time < $end;
print "$written\n";
`;

/**
 * `FILE MIB SECONDS`: reads 4 KiB here and there, none twice before all were read, and past the caches. Says how many it read, how many bytes of them
 * came from the disk, and p50, p99 and the longest in milliseconds.
 */
export const readRandomly = String.raw`
use Time::HiRes 'time'; use Config; my ($file, $mib, $seconds) = @ARGV; my $blocks = $mib * 256;
my $fadvise = $Config{archname} =~ /^aarch64/ ? 223 : 221; my ($isRandom, $notNeeded) = (1, 4);
my $fromDisk = sub { open my $io, '<', '/proc/self/io'; local $/; <$io> =~ /^read_bytes: (\d+)/m; $1 };
open my $from, '<:raw', $file or die "$file: $!"; syscall $fadvise, fileno $from, 0, 0, $isRandom;
my ($end, $before, @took) = (time + $seconds, $fromDisk->());
while ((my $begun = time) < $end) {
  syscall $fadvise, fileno $from, 0, 0, $notNeeded if @took % $blocks == 0;
  sysseek $from, @took * 7919 % $blocks * 4096, 0; sysread($from, my $data, 4096) == 4096 or die "$file: $!";
  push @took, (time - $begun) * 1000;
}
my $read = $fromDisk->() - $before; @took = sort { $a <=> $b } @took;
printf "%d %d %.3f %.3f %.3f\n", scalar @took, $read, $took[$#took * 0.5], $took[$#took * 0.99], $took[-1];
`;
