/** Archives built byte by byte, as no honest tar would write them. */

const BLOCK = 512;

export interface RawEntry {
  /** One character. Default: a regular file. */
  type?: string;
  name: string | Buffer;
  prefix?: string;
  link?: string | Buffer;
  mode?: number;
  mtime?: number;
  data?: string | Buffer;
  /** What the header claims instead of the length of the data. */
  size?: number;
  /** Raw bytes of the size field. */
  sizeField?: Buffer;
  magic?: string;
  badChecksum?: boolean;
}

export function raw(entry: RawEntry): Buffer {
  const data = Buffer.from(entry.data ?? '');
  const block = Buffer.alloc(BLOCK);
  Buffer.from(entry.name).copy(block, 0, 0, 100);
  octal(block, entry.mode ?? 0o644, 100, 8);
  octal(block, 0, 108, 8);
  octal(block, 0, 116, 8);
  octal(block, entry.size ?? data.length, 124, 12);
  entry.sizeField?.copy(block, 124);
  octal(block, entry.mtime ?? 1_700_000_000, 136, 12);
  block.write(entry.type ?? '0', 156, 'latin1');
  Buffer.from(entry.link ?? '').copy(block, 157, 0, 100);
  block.write(entry.magic ?? 'ustar\x0000', 257, 'latin1');
  block.write(entry.prefix ?? '', 345, 'latin1');
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(
    `${(sum + (entry.badChecksum === true ? 1 : 0)).toString(8).padStart(6, '0')}\0 `,
    148,
    'latin1',
  );
  return Buffer.concat([block, data, Buffer.alloc((BLOCK - (data.length % BLOCK)) % BLOCK)]);
}

function octal(block: Buffer, value: number, start: number, length: number): void {
  block.write(value.toString(8).padStart(length - 1, '0'), start, 'latin1');
}

/** An extended header; the length of a record can be made to lie. */
export function pax(
  records: readonly (readonly [key: string, value: string | Buffer, length?: number])[],
): Buffer {
  const body = records.map(([key, value, length]) => {
    const text = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from('\n')]);
    let total = text.length + 1;
    while (String(total).length + text.length !== total) total = String(total).length + text.length;
    return Buffer.concat([Buffer.from(String(length ?? total)), text]);
  });
  return raw({ type: 'x', name: 'PaxHeaders/x', data: Buffer.concat(body) });
}

export const TOP = raw({ type: '5', name: './', mode: 0o755 });
export const END = Buffer.alloc(2 * BLOCK);

/** A whole archive: the top directory, the entries, the end. */
export function archive(...entries: readonly Buffer[]): Buffer {
  return Buffer.concat([TOP, ...entries, END]);
}

export function directory(name: string): Buffer {
  return raw({ type: '5', name, mode: 0o755 });
}
