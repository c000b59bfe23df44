/**
 * Who asks by a fabric's router is one of the machines whose primary network that is, and no more is known of it: so what counts is which
 * networks all of them are on. Counted, so that a change costs what the machine has, and not what the network has.
 */
interface Company {
  machines: number;
  /** How many of them are on each. */
  on: Map<string, number>;
}

interface Member {
  primary: string;
  on: readonly string[];
}

export class CommonNetworks {
  readonly #members = new Map<string, Member>();
  readonly #companies = new Map<string, Company>();

  /** Networks of which something else may be true now. */
  set(id: string, member: Member): string[] {
    const former = this.#members.get(id);
    this.#members.set(id, member);
    this.#count(member, 1);
    if (former !== undefined) this.#count(former, -1);
    return [...new Set([member.primary, former?.primary ?? member.primary])];
  }

  remove(id: string): string[] {
    const former = this.#members.get(id);
    if (former === undefined) return [];
    this.#members.delete(id);
    this.#count(former, -1);
    return [former.primary];
  }

  /** In no particular order but the same for the same machines. */
  of(primary: string): string[] {
    const { machines, on } = this.#companies.get(primary) ?? { machines: 0, on: new Map<string, number>() };
    return [...on]
      .filter(([, count]) => count === machines)
      .map(([network]) => network)
      .toSorted();
  }

  #count({ primary, on }: Member, by: 1 | -1): void {
    const company = this.#companies.get(primary) ?? { machines: 0, on: new Map<string, number>() };
    this.#companies.set(primary, company);
    company.machines += by;
    for (const network of on) {
      const count = (company.on.get(network) ?? 0) + by;
      if (count === 0) company.on.delete(network);
      else company.on.set(network, count);
    }
    if (company.machines === 0) this.#companies.delete(primary);
  }
}
