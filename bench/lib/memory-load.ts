/** Takes memory of its own, a MiB at a time, until it is killed; says each time how many it has. */
export const takeAll = String.raw`
$| = 1; open my $random, '<', '/dev/urandom' or die; read $random, my $block, 1 << 20; my @held;
while (1) { push @held, $block; print scalar @held, "\n" }
`;
