const longest = 500;

/** A request's URL for the log: a signature in it would let whoever reads the log do the same again. */
export const shownUrl = (url: string): string => url.replaceAll(/([?&]signature=)[^&]*/gi, '$1…').slice(0, longest);
