/** The host's images and platforms: asked for once, kept until something says that they changed. */
import { CenoteError, invalid } from '../../base/errors.ts';
import { isUuid } from '../../base/ids.ts';
import type { AgentClient } from '../../client/agent.ts';
import { platformKey } from '../../model/agent-api.ts';
import type { Image, Platform, PlatformRef } from '../../model/image.ts';

export class Catalog {
  readonly #agent: AgentClient;
  #images: Promise<Image[]> | undefined;
  #platforms: Promise<Platform[]> | undefined;

  constructor(agent: AgentClient) {
    this.#agent = agent;
  }

  invalidate(): void {
    this.#images = undefined;
    this.#platforms = undefined;
  }

  images(): Promise<Image[]> {
    if (this.#images !== undefined) return this.#images;
    const asked = this.#agent.imageList();
    this.#images = asked;
    asked.catch(() => {
      if (this.#images === asked) this.#images = undefined;
    });
    return asked;
  }

  platforms(): Promise<Platform[]> {
    if (this.#platforms !== undefined) return this.#platforms;
    const asked = this.#agent.platformList();
    this.#platforms = asked;
    asked.catch(() => {
      if (this.#platforms === asked) this.#platforms = undefined;
    });
    return asked;
  }

  async image(idOrName: string): Promise<Image> {
    const images = await this.images();
    const found = images.find((image) => (isUuid(idOrName) ? image.id === idOrName : image.name === idOrName));
    if (found === undefined)
      throw new CenoteError('not_found', `there is no image ${JSON.stringify(idOrName.slice(0, 80))}`, { advice: 'see what there is: cenote image ls' });
    return found;
  }

  /** `NAME` is its newest version, `NAME@VERSION` that one. */
  async platform(field: string, text: string): Promise<PlatformRef> {
    const [name = '', version, ...rest] = text.split('@');
    if (rest.length > 0 || name === '' || version === '') throw invalid(field, `${JSON.stringify(text.slice(0, 80))} is not NAME or NAME@VERSION`);
    const named = (await this.platforms()).filter((platform) => platform.name === name);
    const found = version === undefined ? newest(named) : named.find((platform) => platform.version === version);
    if (found !== undefined) return { name: found.name, version: found.version };
    const versions = named.length === 0 ? '' : `; there are ${named.map(platformKey).join(', ')}`;
    throw invalid(field, `there is no platform ${JSON.stringify(text.slice(0, 80))}${versions}`, 'see what there is: cenote platform ls');
  }
}

const newest = (platforms: Platform[]): Platform | undefined => platforms.toSorted((one, other) => Number(other.version) - Number(one.version))[0];
