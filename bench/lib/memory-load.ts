/** Takes memory of its own, a MiB at a time, until it is killed; says each time how many it has. */
export const takeAll = String.raw`
$| = 1; open my $random, '<', '/dev/urandom' or die; read $random, my $block, 1 << 20; my @held;
# Written to, so that it is a copy.
while (1) { push @held, $block; substr($held[-1], 0, 8) = sprintf '%08d', $#held; print scalar @held, "\n" }
`;
