import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { hostArchitecture } from './release.ts';

export interface RootOrder {
  readonly kind: 'build';
  readonly release: string;
  readonly arch: string;
  /** Only then the user's own command gets it. */
  readonly archGiven: boolean;
  readonly mirror: string | undefined;
  readonly bootstrapCommand: string | undefined;
  readonly packages: readonly string[];
}

/** Drivers call su, useradd and groupadd; apt has not needed them since trixie. */
export const PACKAGES: readonly string[] = ['passwd'];

export function imageName({ release, arch }: Pick<RootOrder, 'release' | 'arch'>): string {
  return `${release}-${arch}`;
}

/** A committed image is named like a built one; the architecture may be a part of the name already. */
export function imageNameFor(name: string, arch = hostArchitecture()): string {
  return name.endsWith(`-${arch}`) ? name : imageName({ release: name, arch });
}

export function orderPath(images: string, name: string): string {
  return join(images, `${name}.json`);
}

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
 * Whether an image fits the options. With a mirror or a command in them, an image that was built otherwise does not fit, but
 * an imported one does. An image without one of `PACKAGES` never fits.
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
