/** Tar archives that differ from another one. GNU tar's --delete damages some. */
import { createReadStream, createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { extract, type Header, pack } from 'tar-stream';

/** Copies an archive that is not compressed, without the entries that are not kept, and adds others that have no content. */
export async function copyArchive(
  from: string,
  to: string,
  keep: (entry: Header) => boolean,
  more: readonly (Partial<Header> & { readonly name: string })[] = [],
): Promise<void> {
  const entries = extract();
  const packing = pack();
  const written = pipeline(packing, createWriteStream(to));
  createReadStream(from).pipe(entries);
  for await (const entry of entries) {
    if (keep(entry.header)) await pipeline(entry, packing.entry(entry.header));
    else entry.resume();
  }
  for (const header of more) packing.entry(header, '');
  packing.finalize();
  await written;
}
