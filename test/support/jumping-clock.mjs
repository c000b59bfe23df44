/** Loaded into a service before anything else: each SIGWINCH lets its clock jump, first ten years ahead, then twenty back, as a broken clock of the host's would. */
const years = (count) => count * 365 * 86_400_000;
const jumps = [years(10), years(-20)];
const RealDate = Date;
let shift = 0;
globalThis.Date = class extends RealDate {
  constructor(...given) {
    if (given.length === 0) super(RealDate.now() + shift);
    else super(...given);
  }
  static now() {
    return RealDate.now() + shift;
  }
};
process.on('SIGWINCH', () => {
  shift += jumps.shift() ?? 0;
});
