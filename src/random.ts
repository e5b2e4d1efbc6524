/** As node:crypto, which takes 2 ms to load on the way to the first `ok`. */
import { closeSync, openSync, readSync } from 'node:fs';

export function randomBytes(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  const device = openSync('/dev/urandom', 'r');
  try {
    readSync(device, bytes);
  } finally {
    closeSync(device);
  }
  return bytes;
}

export function randomUuid(): string {
  const bytes = randomBytes(16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x40, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/**
 * Digits for a name that nothing else has. A counter would not do: a program can load this library twice, as an ES module and
 * as CommonJS.
 */
export function uniqueDigits(): string {
  return randomBytes(6).readUIntBE(0, 6).toString();
}

export function randomInt(min: number, max: number): number {
  return min + (randomBytes(6).readUIntBE(0, 6) % (max - min));
}
