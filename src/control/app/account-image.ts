/** Images that accounts make of their machines, and who may use them. The operator's images are everyone's. */
import type { Readable } from 'node:stream';
import { CenoteError, invalid } from '../../base/errors.ts';
import { newImageId } from '../../base/ids.ts';
import type { ImageCreate } from '../../model/agent-api.ts';
import type { CreateImage } from '../../model/control-api.ts';
import type { Image } from '../../model/image.ts';
import { authorize, systemContext as system } from '../../store/context.ts';
import type { RequestContext } from '../../store/context.ts';
import { ownedImageDelete, ownedImageFail, ownedImageGet, ownedImageInsert, ownedImageList, ownedImageSave } from '../../store/image.ts';
import type { ImageAbout, OwnedImage } from '../../store/image.ts';
import { machineNamesUsing } from '../../store/machine.ts';
import { jobListUnfinished } from '../../store/job.ts';
import type { Db } from '../../store/store.ts';
import type { Control } from '../control.ts';
import { contentOf, imageNameOf } from '../jobs/image-content.ts';
import type { JobRequests } from '../jobs/request.ts';
import { acceptAction } from './accept.ts';
import { machineMade } from './made.ts';

export interface VisibleImage {
  id: string;
  /** What the host has of it; undefined while it is made, and where that failed. */
  content: Image | undefined;
  /** Undefined for the operator's. */
  owned: OwnedImage | undefined;
  state: 'active' | 'creating' | 'failed';
  /** Of another account, which lets this one use it. */
  shared: boolean;
}

const mostImages = 100;
/** One that is not there after so long is not being made any more: whoever made it has died. */
const longestMakingMs = 3600_000;

const stateOf = (content: Image | undefined, owned: OwnedImage): VisibleImage['state'] => {
  if (content !== undefined) return 'active';
  return owned.error === null && Date.now() - Date.parse(owned.createdAt) < longestMakingMs ? 'creating' : 'failed';
};

/** All that the caller's account may know of. */
export const visibleImages = async ({ store, catalog }: Control, context: RequestContext): Promise<VisibleImage[]> => {
  const contents = await catalog.images();
  const owned = await ownedImageList(system, store.db);
  const byId = new Map(owned.map((image) => [image.id, image]));
  const operators = contents
    .filter(({ id }) => !byId.has(id))
    .map((content) => ({ id: content.id, content, owned: undefined, state: 'active' as const, shared: false }));
  const accounts = owned
    .filter(({ account, about }) => account === context.account || about.acl.includes(context.account))
    .map((image) => {
      const content = contents.find(({ id }) => id === image.id);
      return { id: image.id, content, owned: image, state: stateOf(content, image), shared: image.account !== context.account };
    });
  return [...operators, ...accounts.filter(({ shared, state }) => !shared || state === 'active')];
};

export const visibleImage = async (control: Control, context: RequestContext, id: string): Promise<VisibleImage> => {
  const found = (await visibleImages(control, context)).find((image) => image.id === id);
  if (found === undefined) throw new CenoteError('not_found', 'there is no such image');
  return found;
};

export interface ImageAsked {
  machine: string;
  name: string;
  version: string;
  about: ImageAbout;
}

/** A job of the machine's, on record with the image. */
export const accountImageCreate = async (control: Control, context: RequestContext, asked: ImageAsked): Promise<VisibleImage> => {
  const { promise, resolve } = Promise.withResolvers<OwnedImage>();
  await acceptAction(control, context, asked.machine, 'image.create', async (db) => {
    const image = await record(context, db, asked);
    resolve(image);
    return { image: image.id };
  });
  const owned = await promise;
  return { id: owned.id, content: undefined, owned, state: 'creating', shared: false };
};

/** What an earlier process was sent, and had not handed on when it ended, nobody sends again. Jobs are taken up instead. */
export const endUploads = async ({ store, agent, logger }: Control): Promise<void> => {
  const images = await agent.imageList().catch(() => undefined);
  if (images === undefined) return; // then they count as failed an hour after they were begun
  const contents = new Set(images.map(({ id }) => id));
  const jobs = (await jobListUnfinished(system, store.db)).filter(({ job }) => job.action === 'image.create');
  const beingMade = new Set(jobs.map(({ request }) => (request as JobRequests['image.create']).image));
  const left = (await ownedImageList(system, store.db)).filter(({ id, error }) => error === null && !contents.has(id) && !beingMade.has(id));
  if (left.length === 0) return;
  logger.warn({ images: left.map(({ id }) => id) }, 'images had not been made when the control plane ended');
  await store.transaction(async (db) => {
    for (const { id } of left) await ownedImageFail(system, db, id, 'it had not been sent whole when the control plane ended: make it again');
  });
};

/** Answers when it is made, of a machine or of an archive; what could not be made leaves nothing. Its version is the next number. */
export const accountImageMake = async (
  control: Control,
  context: RequestContext,
  asked: CreateImage,
  content: Readable | undefined,
  signal: AbortSignal,
): Promise<Image> => {
  authorize(context, 'write');
  const { store } = control;
  const { name, fromMachine } = asked;
  const source = fromMachine === undefined ? undefined : await machineMade(context, store.db, fromMachine);
  const image = await store.transaction((db) => record(context, db, { name, version: undefined, about: { tags: {}, acl: [] } }));
  const given = source === undefined ? { kind: asked.kind ?? ('app' as const), config: {} } : contentOf(source.spec);
  const made = await fill(
    control,
    context,
    image.id,
    { ...given, config: { ...given.config, ...asked.config } },
    source === undefined ? content : undefined,
    signal,
  );
  return { ...made, name: `${image.name}@${image.version}` };
};

/** One's own of what another account shares, which stays when that no longer does. What is said of it comes along. It is made also when whoever asked hangs up. */
export const accountImageClone = async (control: Control, context: RequestContext, id: string): Promise<VisibleImage> => {
  authorize(context, 'write');
  const { content, owned, shared } = await visibleImage(control, context, id);
  if (content === undefined || owned === undefined || !shared) throw invalid('image', 'only what another account shares can be cloned');
  const { name, version, about } = owned;
  const image = await control.store.transaction((db) => record(context, db, { name, version, about: { ...about, acl: [] } }));
  await fill(control, context, image.id, { kind: content.kind, config: content.config, fromImage: id });
  return visibleImage(control, context, image.id);
};

/** The record goes when the host cannot make it. */
const fill = async (
  control: Control,
  context: RequestContext,
  id: string,
  wanted: Omit<ImageCreate, 'id' | 'name'>,
  content?: Readable,
  signal?: AbortSignal,
): Promise<Image> => {
  try {
    return await control.agent.imageCreate({ id, name: imageNameOf(id), ...wanted }, content, signal === undefined ? {} : { signal });
  } catch (error) {
    await control.store.transaction((db) => ownedImageDelete(context, db, id));
    throw error;
  } finally {
    control.catalog.invalidate();
  }
};

/** Within the transaction of whatever makes it. */
const record = async (
  context: RequestContext,
  db: Db,
  { name, version, about }: Omit<ImageAsked, 'machine' | 'version'> & { version: string | undefined },
): Promise<OwnedImage> => {
  const own = (await ownedImageList(system, db)).filter(({ account }) => account === context.account);
  if (own.length >= mostImages) throw new CenoteError('over_quota', `there are ${own.length} images of yours already, and may be ${mostImages}`);
  const named = own.filter((one) => one.name === name);
  if (named.some((one) => one.version === version && one.error === null)) {
    const message = `there is already an image ${name}@${version} of yours`;
    throw new CenoteError('already_exists', message, { fields: [{ field: 'name', message }] });
  }
  const next = 1 + Math.max(0, ...named.map((one) => Number.parseInt(one.version, 10) || 0));
  const image: OwnedImage = {
    id: newImageId(),
    account: context.account,
    name,
    version: version ?? String(next),
    about,
    error: null,
    createdAt: new Date().toISOString(),
  };
  await ownedImageInsert(context, db, image);
  return image;
};

export const accountImageUpdate = (control: Control, context: RequestContext, id: string, change: (image: OwnedImage) => OwnedImage): Promise<OwnedImage> =>
  control.store.transaction(async (db) => {
    const changed = change(await ownedImageGet(context, db, id));
    await ownedImageSave(context, db, changed);
    return changed;
  });

/** Names of machines are not told: they may be others'. */
export const accountImageDelete = async (control: Control, context: RequestContext, id: string): Promise<void> => {
  await ownedImageGet(context, control.store.db, id);
  if ((await machineNamesUsing(context, control.store.db, 'image', id)).length > 0) throw new CenoteError('in_use', 'there are instances made of this image');
  try {
    await control.agent.imageDelete(id);
  } catch (error) {
    if (!(error instanceof CenoteError) || error.code !== 'not_found') throw error;
  } finally {
    control.catalog.invalidate();
  }
  await control.store.transaction((db) => ownedImageDelete(context, db, id));
};
