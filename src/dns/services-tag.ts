/**
 * The tag `triton.cns.services`: which services a machine is a member of, and at which ports.
 *
 *   service ("," service)*        service := label (":" port)? (":" key "=" value)*        keys: port, priority, weight
 */
import { invalid } from '../base/errors.ts';

export interface ServicePort {
  port: number;
  priority: number;
  weight: number;
}

export interface Service {
  label: string;
  ports: ServicePort[];
}

const labelPattern = /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;
const keyPattern = /^[a-z][a-z0-9-]*$/;
const mostServices = 64;
const defaults = { priority: 0, weight: 10 } as const;
const bounds = { port: [1, 65_535], priority: [0, 65_535], weight: [0, 65_535] } as const satisfies Record<string, [number, number]>;

/** Several ports of a service named in several places are together; throws an error that names `field`. */
export const parseServices = (field: string, text: string): Service[] => {
  const services = new Map<string, Service>();
  for (const part of text.split(',')) {
    const [label = '', ...rest] = part.trim().split(':');
    if (!labelPattern.test(label))
      throw invalid(field, `${JSON.stringify(label.slice(0, 80))} is not the name of a service: a letter, then letters, digits, -`);
    const service = services.get(label) ?? { label, ports: [] };
    services.set(label, service);
    const port = portOf(field, label, rest);
    if (port === undefined) continue;
    service.ports = [...service.ports.filter((other) => other.port !== port.port), port];
  }
  if (services.size > mostServices) throw invalid(field, `${services.size} services, and a machine may be in ${mostServices}`);
  return [...services.values()];
};

const portOf = (field: string, label: string, parts: readonly string[]): ServicePort | undefined => {
  const numbers: Partial<ServicePort> = {};
  for (const [index, part] of parts.entries()) {
    const [key, value = ''] = index === 0 && !part.includes('=') ? ['port', part] : part.split(/=(.*)/s);
    if (key === undefined || !keyPattern.test(key) || value === '') throw invalid(field, `${JSON.stringify(part.slice(0, 80))} of ${label} is not KEY=VALUE`);
    if (!(key in bounds)) throw invalid(field, `${label} has ${JSON.stringify(key.slice(0, 40))}, which nobody knows`, 'there are port, priority and weight');
    const [least, most] = bounds[key as keyof ServicePort];
    const number = /^\d{1,5}$/.test(value) ? Number(value) : Number.NaN;
    if (!(number >= least && number <= most)) throw invalid(field, `${key} of ${label} is ${JSON.stringify(value.slice(0, 20))}, not ${least} to ${most}`);
    numbers[key as keyof ServicePort] = number;
  }
  const { port, priority, weight } = numbers;
  if (port === undefined) {
    if (priority !== undefined || weight !== undefined) throw invalid(field, `${label} has a priority or weight, and no port that it is of`);
    return undefined;
  }
  return { port, priority: priority ?? defaults.priority, weight: weight ?? defaults.weight };
};

export const printServices = (services: readonly Service[]): string =>
  services
    .flatMap(({ label, ports }) => (ports.length === 0 ? [label] : ports.map((one) => `${label}:${one.port}:priority=${one.priority}:weight=${one.weight}`)))
    .join(',');
