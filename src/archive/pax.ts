/** Extended headers of pax(1): lines `LENGTH KEY=VALUE`, where LENGTH counts the whole line in bytes. */
import type { ByteString } from './bytes.ts';
import { shown } from './bytes.ts';
import type { Fail } from './tar-header.ts';

export type PaxRecords = ReadonlyMap<ByteString, ByteString>;

export const SPARSE = {
  major: 'GNU.sparse.major',
  minor: 'GNU.sparse.minor',
  name: 'GNU.sparse.name',
  realSize: 'GNU.sparse.realsize',
} as const;

const KNOWN_SPARSE: ReadonlySet<string> = new Set(Object.values(SPARSE));

export function parsePax(body: Buffer, fail: Fail): PaxRecords {
  const records = new Map<ByteString, ByteString>();
  for (let at = 0; at < body.length; ) {
    const blank = body.indexOf(0x20, at);
    const digits = blank === -1 ? '' : body.toString('latin1', at, Math.min(blank, at + 10));
    const end = at + Number(digits);
    if (!/^\d{1,9}$/.test(digits) || end > body.length || end <= blank + 1 || body[end - 1] !== 0x0a) {
      fail('has a broken extended header');
    }
    const equals = body.indexOf(0x3d, blank);
    if (equals === -1 || equals >= end) fail('has a broken extended header');
    const key = body.toString('latin1', blank + 1, equals);
    if (key.startsWith('GNU.sparse.') && !KNOWN_SPARSE.has(key)) {
      fail('has a sparse file in another format than 1.0');
    }
    records.set(key, body.toString('latin1', equals + 1, end - 1));
    at = end;
  }
  return records;
}

export function paxSize(records: PaxRecords | undefined, key: string, fail: Fail): number | undefined {
  const text = records?.get(key);
  if (text === undefined) return undefined;
  const size = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(size)) fail(`has a broken record ${key}=${shown(text)}`);
  return size;
}

/** Seconds with any number of digits after the point; a file system keeps nine. */
export function paxTime(records: PaxRecords | undefined, key: string, fail: Fail): string | undefined {
  const text = records?.get(key);
  if (text === undefined) return undefined;
  const parts = /^(-?\d{1,18})(\.\d{0,9})?\d*$/.exec(text);
  if (parts === null) fail(`has a broken record ${key}=${shown(text)}`);
  const fraction = (parts[2] ?? '').replace(/\.?0*$/, '');
  return `${parts[1]}${fraction}`;
}

const NONE: ReadonlyMap<ByteString, ByteString> = new Map();

export function attributesOf(records: PaxRecords | undefined): ReadonlyMap<ByteString, ByteString> {
  if (records === undefined) return NONE;
  let found: Map<ByteString, ByteString> | undefined;
  for (const [key, value] of records) {
    if (!/^(SCHILY\.(xattr|acl)|LIBARCHIVE\.xattr|RHT\.security)\./.test(key)) continue;
    found ??= new Map();
    found.set(key, value);
  }
  return found ?? NONE;
}
