/** A process whose clock is off by CENOTE_TEST_CLOCK_MS. */
const offset = Number(process.env.CENOTE_TEST_CLOCK_MS);
const { Date: RealDate } = globalThis;
globalThis.Date = class extends RealDate {
  constructor(...parts) {
    if (parts.length === 0) super(RealDate.now() + offset);
    else super(...parts);
  }
  static now() {
    return RealDate.now() + offset;
  }
};
