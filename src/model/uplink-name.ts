/** Names of network devices that may be shaped; without the schemas, for the command line. */
export const uplinkPattern = '^[A-Za-z0-9_.-]{1,15}$';
export const mostUplinks = 8;
