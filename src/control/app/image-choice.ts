/** Images by the names that a caller knows them by: the operator sees the host's as they are, an account its own as NAME@VERSION, and no others'. */
import type { Readable } from 'node:stream';
import { CenoteError } from '../../base/errors.ts';
import { isUuid } from '../../base/ids.ts';
import type { CreateImage } from '../../model/control-api.ts';
import type { Image } from '../../model/image.ts';
import type { RequestContext } from '../../store/context.ts';
import { authorize } from '../../store/context.ts';
import type { Control } from '../control.ts';
import { accountImageDelete, accountImageMake, visibleImages } from './account-image.ts';
import { namedBy } from './field.ts';
import { checkImageRequest, imageCreate, imageDelete } from './image.ts';

export const imageList = async (control: Control, context: RequestContext): Promise<Image[]> => {
  authorize(context, 'read');
  if (context.role !== 'account') return control.catalog.images();
  return (await visibleImages(control, context))
    .toSorted((one, other) => Number(one.shared) - Number(other.shared))
    .flatMap(({ content, owned }) => {
      if (content === undefined) return [];
      return [owned === undefined ? content : { ...content, name: `${owned.name}@${owned.version}` }];
    });
};

/** A name without a version is the newest that bears it. */
export const imageGet = async (control: Control, context: RequestContext, idOrName: string): Promise<Image> => {
  const images = await imageList(control, context);
  const exact = images.find((image) => (isUuid(idOrName) ? image.id === idOrName : image.name === idOrName));
  const found = exact ?? images.filter(({ name }) => name.startsWith(`${idOrName}@`)).toSorted((one, other) => (one.createdAt < other.createdAt ? 1 : -1))[0];
  if (found !== undefined) return found;
  throw new CenoteError('not_found', `there is no image ${JSON.stringify(idOrName.slice(0, 80))}`, { advice: 'see what there is: cenote image ls' });
};

/** As a field of a request. */
export const imageFor = (control: Control, context: RequestContext, field: string, idOrName: string): Promise<Image> =>
  namedBy(field, () => imageGet(control, context, idOrName), { advice: insteadOf(idOrName) });

/** `nginx:latest` and `library/nginx` are names that people know from elsewhere. */
const insteadOf = (name: string): string => {
  const program = /^(?:[a-z0-9.-]+(?::\d+)?\/)*([a-z0-9][a-z0-9+.-]{0,60})(?::[\w.-]+)?(?:@[\w:]+)?$/.exec(name)?.[1];
  if (program === undefined || !/[:/]/.test(name)) return 'see what there is: cenote image ls';
  return `images are not fetched from registries: have Debian's ${program} in a platform (cenote platform build --name ${program} --include ${program}), or import one (docs/cli.md)`;
};

/** Of an account's own; to the operator all are. */
export const imageRemove = async (control: Control, context: RequestContext, idOrName: string): Promise<void> => {
  if (context.role !== 'account') return imageDelete(control, context, idOrName);
  const { id } = await imageGet(control, context, idOrName);
  return accountImageDelete(control, context, id);
};

export const imageMake = async (
  control: Control,
  context: RequestContext,
  asked: CreateImage,
  content: Readable | undefined,
  signal: AbortSignal,
): Promise<Image> => {
  if (context.role !== 'account') return imageCreate(control, context, asked, content, signal);
  checkImageRequest(asked);
  return accountImageMake(control, context, asked, content, signal);
};
