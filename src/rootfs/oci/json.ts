/** Values of the JSON files of a container image, which may be hostile: a value of another type counts as missing. */
import { badImage } from './bad-image.ts';

export type Json = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @throws UsageError */
export function parseJson(bytes: Buffer, what: string): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw badImage(`${what} is not JSON`, { cause });
  }
}

/** @throws UsageError */
export function objectOf(value: unknown, what: string): Json {
  if (!isObject(value)) throw badImage(`${what} is not a JSON object`);
  return value;
}

export function textAt(object: Json, key: string): string | undefined {
  const value = own(object, key);
  return typeof value === 'string' ? value : undefined;
}

export function numberAt(object: Json, key: string): number | undefined {
  const value = own(object, key);
  return typeof value === 'number' ? value : undefined;
}

export function objectAt(object: Json, key: string): Json {
  const value = own(object, key);
  return isObject(value) ? value : {};
}

export function objectsAt(object: Json, key: string): Json[] {
  const value = own(object, key);
  return Array.isArray(value) ? value.filter(isObject) : [];
}

export function textsAt(object: Json, key: string): string[] {
  const value = own(object, key);
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
}

function own(object: Json, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}
