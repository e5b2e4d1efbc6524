/** Orders to build a root filesystem, and what is kept with an image of the one that it was built by. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A root filesystem that has to be built first, see build.ts. */
export interface RootOrder {
  readonly kind: 'build';
  readonly release: string;
  /** Debian's name of the architecture. */
  readonly arch: string;
  /** Whether somebody asked for that architecture, so that the user's own command is told it. */
  readonly archGiven: boolean;
  readonly mirror: string | undefined;
  /** See `bootstrapArgv` in build.ts; undefined: mmdebstrap, with the machine's own apt sources. */
  readonly bootstrapCommand: string | undefined;
  /** What mmdebstrap puts in beside apt; nothing of it is told to the user's own command. */
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
 * Whether an image serves who names a mirror or a command: one that was built by others does not, one that the user has
 * imported does. Who names neither takes what is there. One that mmdebstrap made for us without a package that we put in
 * today serves nobody.
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
