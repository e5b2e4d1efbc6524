/** Values of a laboratory's file. Errors name the place in the file. Pure. */
import { UsageError } from '../errors.ts';
import { didYouMean } from '../nearest.ts';

export type Fields = Readonly<Record<string, unknown>>;

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Names that the root filesystem has elsewhere. */
const ROOTS: ReadonlyMap<string, string> = new Map([
  ['release', 'root: NAME'],
  ['image', 'root: NAME'],
  ['rootfs', 'root: { rootfs: PATH }'],
  ['tarball', 'root: { tarball: PATH }'],
]);

export function fields(value: unknown, where: string, known?: readonly string[]): Fields {
  if (!isFields(value))
    throw new UsageError(`${where} is not a list of NAME: VALUE`, {
      code: 'WRONG_LAB_FILE',
      remedy: 'see docs/networks.md',
    });
  const stranger = known === undefined ? undefined : Object.keys(value).find((key) => !known.includes(key));
  if (known !== undefined && stranger !== undefined) {
    const meant = known.includes('root') && ROOTS.get(stranger);
    const words = meant ? ` (did you mean ${meant})` : didYouMean(stranger, known);
    throw new UsageError(`${where} has the unknown key ${quoted(stranger)}${words}`, {
      code: 'WRONG_LAB_FILE',
      remedy: `use one of ${known.join(', ')}`,
    });
  }
  return value;
}

/** A key may have spaces, and several lines. */
function quoted(key: string): string {
  return /^[\w-]+$/.test(key) ? key : JSON.stringify(key);
}

export function list(value: unknown, where: string): readonly unknown[] {
  if (!Array.isArray(value))
    throw new UsageError(`${where} is not a list`, { code: 'WRONG_LAB_FILE', remedy: 'write [A, B]' });
  return value;
}

export function words(value: unknown, where: string): string[] {
  return (Array.isArray(value) ? value : [value]).map((one) => word(one, where));
}

export function word(value: unknown, where: string): string {
  if (typeof value === 'number') return String(value);
  if (typeof value !== 'string' || value === '')
    throw new UsageError(`${where} is not a text`, { code: 'WRONG_LAB_FILE', remedy: 'put it in quotes' });
  if (value.includes('\0'))
    throw new UsageError(`${where} has a null byte`, { code: 'WRONG_LAB_FILE', remedy: 'remove it' });
  return value;
}

export function optionalWord(host: Fields, key: string, where: string): string | undefined {
  return host[key] === undefined ? undefined : word(host[key], `${where}.${key}`);
}

export function flag(value: unknown, where: string): boolean {
  if (value === undefined) return false;
  if (typeof value !== 'boolean')
    throw new UsageError(`${where} is neither true nor false`, {
      code: 'WRONG_LAB_FILE',
      remedy: 'write true or false',
    });
  return value;
}
