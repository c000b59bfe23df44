/** A VLAN's number, 0 to 4095. */
import { parseCount } from '../format.ts';

export const vlanNumber = (text: string): number => parseCount(0, 4095)('VLAN', text);
