/** The least of each resource, for the API's schema and for the command line, which does without the schema. */
export const least = { cpuCeilingMillis: 10, memoryMib: 4, diskMib: 16, processes: 4 } as const;
export const mostProcesses = 4_000_000;
