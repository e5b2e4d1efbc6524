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

export function randomInt(min: number, max: number): number {
  return min + (randomBytes(6).readUIntBE(0, 6) % (max - min));
}
