/**
 * Which image of an archive or layout is meant, and what it consists of: index.json of the OCI image layout, else manifest.json of
 * docker save.
 */
import { shown } from '../../archive/bytes.ts';
import { badImage } from './bad-image.ts';
import { type Blob, blobOf, type Digest, parseDigest, readJson } from './blob.ts';
import type { ImageFiles } from './files.ts';
import { type Json, objectAt, objectOf, objectsAt, textAt, textsAt } from './json.ts';
import { debianArchitecture, fits, type Platform, showPlatform } from './platform.ts';

export interface Layer extends Blob {
  /** Of the archive, not compressed. */
  readonly diffId: Digest;
}

export interface ChosenImage {
  readonly layers: readonly Layer[];
  readonly environment: readonly string[];
}

export interface Choice {
  /** Debian's name. */
  readonly arch: string;
  readonly tag: string | undefined;
}

const MOST_LAYERS = 1000;
const DEEPEST_INDEX = 4;
const MOST_MANIFESTS = 1000;
const MOST_SHOWN = 20;

export async function chooseImage(files: ImageFiles, choice: Choice): Promise<ChosenImage> {
  const image = files.has('index.json') ? await fromLayout(files, choice) : await fromDocker(files, choice);
  if (image.layers.length > MOST_LAYERS) {
    throw badImage(`the image has more than ${MOST_LAYERS} layers`, { code: 'TOO_MANY_LAYERS' });
  }
  return image;
}

interface Candidate {
  readonly descriptor: Json;
  readonly names: readonly string[];
  readonly platform: Platform | undefined;
}

async function fromLayout(files: ImageFiles, { arch, tag }: Choice): Promise<ChosenImage> {
  const index = await readJson(files, plain('index.json'), 'index.json of the image');
  const all = await collect(files, objectOf(index, 'index.json of the image'));
  if (all.length === 0) throw badImage('the image has no manifest');
  const tagged =
    tag === undefined ? all : all.filter(({ names }) => names.some((name) => isNamed(name, tag)));
  if (tagged.length === 0)
    throw noTag(
      tag ?? '',
      all.flatMap(({ names }) => names),
    );
  const fitting = tagged.filter(({ platform }) => platform === undefined || fits(platform, arch));
  const digests = new Set(fitting.map(({ descriptor }) => textAt(descriptor, 'digest')));
  const [first] = fitting;
  if (first === undefined) {
    throw noPlatform(
      tagged.flatMap(({ platform }) => platform ?? []),
      arch,
    );
  }
  if (digests.size > 1) throw several(fitting.flatMap(({ names }) => names));
  const manifest = objectOf(
    await readJson(files, blobOf(first.descriptor, 'the manifest'), 'the manifest of the image'),
    'the manifest of the image',
  );
  const config = objectOf(
    await readJson(files, blobOf(objectAt(manifest, 'config'), 'the configuration'), CONFIG),
    CONFIG,
  );
  checkPlatform(config, arch);
  const layers = objectsAt(manifest, 'layers');
  for (const layer of layers) {
    const type = textAt(layer, 'mediaType') ?? '';
    if (!/[.+/]tar\b/.test(type) || type.includes('encrypted')) {
      throw badImage(`the image has a layer of the kind ${shown(type)}, which cannot be unpacked`, {
        code: 'UNKNOWN_LAYER',
      });
    }
  }
  const blobs = layers.map((layer, at) => blobOf(layer, `layer ${at + 1}`));
  return { layers: withDiffIds(blobs, config), environment: textsAt(objectAt(config, 'config'), 'Env') };
}

const CONFIG = 'the configuration of the image';

function plain(name: string): Blob {
  return { name, digest: undefined, size: undefined };
}

/** The manifests of an index and of the indexes in it. Attestations of builders are none. */
async function collect(files: ImageFiles, top: Json): Promise<Candidate[]> {
  const found: Candidate[] = [];
  let seen = 0;
  const look = async (descriptor: Json, depth: number, above: readonly string[]): Promise<void> => {
    seen += 1;
    if (seen > MOST_MANIFESTS) {
      throw badImage(`the image has more than ${MOST_MANIFESTS} manifests`, { code: 'TOO_LARGE' });
    }
    const names = [...above, ...namesOf(descriptor)];
    const platform = platformOf(objectAt(descriptor, 'platform'));
    const type = textAt(descriptor, 'mediaType') ?? '';
    if (/\.image\.index\.|\.manifest\.list\./.test(type)) {
      const blob = blobOf(descriptor, 'an index');
      // An archive may lack the platforms that were not pulled.
      if (!files.has(blob.name)) return;
      if (depth > DEEPEST_INDEX) throw badImage('the indexes of the image are nested too deeply');
      const inner = objectOf(await readJson(files, blob, 'an index of the image'), 'an index of the image');
      for (const each of objectsAt(inner, 'manifests')) await look(each, depth + 1, names);
    } else if (platform?.os !== 'unknown' && files.has(blobOf(descriptor, 'a manifest').name)) {
      found.push({ descriptor, names, platform });
    }
  };
  for (const descriptor of objectsAt(top, 'manifests')) await look(descriptor, 1, []);
  return found;
}

function namesOf(descriptor: Json): string[] {
  const annotations = objectAt(descriptor, 'annotations');
  return ['org.opencontainers.image.ref.name', 'io.containerd.image.name'].flatMap(
    (key) => textAt(annotations, key) ?? [],
  );
}

function platformOf(object: Json): Platform | undefined {
  const [os, architecture] = [textAt(object, 'os'), textAt(object, 'architecture')];
  if (os === undefined || architecture === undefined) return undefined;
  return { os, architecture, variant: textAt(object, 'variant') };
}

function isNamed(name: string, tag: string): boolean {
  return name === tag || name.endsWith(`:${tag}`) || name.endsWith(`/${tag}`);
}

async function fromDocker(files: ImageFiles, { arch, tag }: Choice): Promise<ChosenImage> {
  const manifest = await readJson(files, plain('manifest.json'), 'manifest.json of the image');
  if (!Array.isArray(manifest)) {
    throw badImage('this is the format dir: of skopeo', { remedy: 'convert it by skopeo copy dir:… oci:…' });
  }
  const images = objectsAt({ manifest }, 'manifest');
  const names = images.flatMap((image) => textsAt(image, 'RepoTags'));
  const chosen = images.filter(
    (image) => tag === undefined || textsAt(image, 'RepoTags').some((name) => isNamed(name, tag)),
  );
  const [image, ...more] = chosen;
  if (image === undefined)
    throw images.length === 0 ? badImage('manifest.json has no image') : noTag(tag ?? '', names);
  if (more.length > 0) throw several(names);
  const file = textAt(image, 'Config') ?? '';
  const [, hex] = /(?:^|\/)([0-9a-f]{64})(?:\.json)?$/.exec(file) ?? [];
  const digest: Digest | undefined = hex === undefined ? undefined : { algorithm: 'sha256', hex };
  const config = objectOf(
    await readJson(files, { name: insideName(file), digest, size: undefined }, CONFIG),
    CONFIG,
  );
  checkPlatform(config, arch);
  const blobs = textsAt(image, 'Layers').map((name) => plain(insideName(name)));
  return { layers: withDiffIds(blobs, config), environment: textsAt(objectAt(config, 'config'), 'Env') };
}

function insideName(name: string): string {
  if (name !== '' && !name.startsWith('/') && !name.split('/').includes('..') && !name.includes('\0'))
    return name;
  throw badImage(`manifest.json names the file ${shown(Buffer.from(name))}, which is outside of the image`, {
    code: 'OUTSIDE',
  });
}

function withDiffIds(blobs: readonly Blob[], config: Json): Layer[] {
  const diffIds = textsAt(objectAt(config, 'rootfs'), 'diff_ids');
  if (diffIds.length !== blobs.length) {
    throw badImage(`the image has ${blobs.length} layers, but the digests of ${diffIds.length}`);
  }
  return blobs.map((blob, at) => ({ ...blob, diffId: parseDigest(diffIds[at], `layer ${at + 1}`) }));
}

function checkPlatform(config: Json, arch: string): void {
  const platform = platformOf(config);
  if (platform === undefined) throw badImage(`${CONFIG} has no architecture: this is not a container image`);
  if (!fits(platform, arch)) throw noPlatform([platform], arch);
}

function noPlatform(there: readonly Platform[], arch: string): Error {
  const linux = there.filter(({ os }) => os === 'linux');
  const shownPlatforms = [...new Set(there.map(showPlatform))].map((text) => shown(Buffer.from(text)));
  const choices = [...new Set(linux.map(debianArchitecture))].filter((name) => /^[a-z0-9]+$/.test(name));
  return badImage(`the image is for ${shownPlatforms.join(', ')}, not for ${arch}`, {
    code: 'WRONG_ARCHITECTURE',
    remedy:
      choices.length === 0
        ? 'give an image of Linux'
        : `give --arch=${choices[0]}, or save the image for this architecture`,
  });
}

/** For a message. */
export function showNames(names: readonly string[]): string {
  const all = [...new Set(names)].map((name) => shown(Buffer.from(name)));
  return [...all.slice(0, MOST_SHOWN), ...(all.length > MOST_SHOWN ? ['…'] : [])].join(', ');
}

function several(names: readonly string[]): Error {
  return badImage(`there are several images: ${showNames(names)}`, {
    code: 'SEVERAL_IMAGES',
    remedy: 'name one of them after the path, as FILE:TAG',
  });
}

function noTag(tag: string, names: readonly string[]): Error {
  const there = names.length === 0 ? 'it has none with a name' : `there are ${showNames(names)}`;
  return badImage(`there is no image ${shown(Buffer.from(tag))}`, { code: 'NO_TAG', remedy: there });
}
