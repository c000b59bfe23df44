import type { HealthCheck } from '../../model/event.ts';

/** How a health check ended, and what it said. */
export const checkWords = ({ reason, output }: HealthCheck): string => `${reason}${output === '' ? ', and wrote nothing' : `, and wrote: ${output}`}`;
