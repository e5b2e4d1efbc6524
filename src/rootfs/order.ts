/** Orders to build a root filesystem, and the copy that is kept with an image that was built. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A root filesystem that has to be built first, see build.ts. */
export interface RootOrder {
  readonly kind: 'build';
  readonly release: string;
  /** Debian's name of the architecture. */
  readonly arch: string;
  /** Whether the user named that architecture; only then the user's own command gets it. */
  readonly archGiven: boolean;
  readonly mirror: string | undefined;
  /** See `bootstrapArgv` in build.ts; undefined: mmdebstrap, with the machine's own apt sources. */
  readonly bootstrapCommand: string | undefined;
  /** Packages that mmdebstrap installs beside apt; the user's own command does not get them. */
  readonly packages: readonly string[];
}

/** Drivers call su, useradd and groupadd; apt itself has not needed them since trixie. Every release has the package. */
export const PACKAGES: readonly string[] = ['passwd'];

/** The name of the image that an order makes. */
export function imageName({ release, arch }: Pick<RootOrder, 'release' | 'arch'>): string {
  return `${release}-${arch}`;
}

/** Where the order of an image is kept, in the folder of the images. */
export function orderPath(images: string, name: string): string {
  return join(images, `${name}.json`);
}

/** The order that an image was built by; undefined for an imported one. */
export function readOrder(images: string, name: string): RootOrder | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(orderPath(images, name), 'utf8'));
    if (typeof value !== 'object' || value === null) return undefined;
    const text = (key: string) => {
      const found: unknown = Reflect.get(value, key);
      return typeof found === 'string' ? found : undefined;
    };
    const [release, arch] = [text('release'), text('arch')];
    if (release === undefined || arch === undefined) return undefined;
    const archGiven = Reflect.get(value, 'archGiven') !== false;
    const [mirror, bootstrapCommand] = [text('mirror'), text('bootstrapCommand')];
    const kept: unknown = Reflect.get(value, 'packages');
    const packages = Array.isArray(kept) ? kept.map(String) : [];
    return { kind: 'build', release, arch, archGiven, mirror, bootstrapCommand, packages };
  } catch {
    return undefined;
  }
}

/**
 * Whether an image fits the options. With a mirror or a command in them, an image that was built by another one does not fit, and
 * one that the user imported does. An image that mmdebstrap made without one of `PACKAGES` never fits.
 * @param kept the order that the image was built by
 */
export function serves(
  kept: RootOrder | undefined,
  wanted: Pick<RootOrder, 'mirror' | 'bootstrapCommand'>,
): boolean {
  if (kept === undefined) return true;
  if (kept.bootstrapCommand === undefined && !PACKAGES.every((name) => kept.packages.includes(name))) {
    return false;
  }
  const same = (one: string | undefined, other: string | undefined) => other === undefined || one === other;
  return same(kept.mirror, wanted.mirror) && same(kept.bootstrapCommand, wanted.bootstrapCommand);
}
