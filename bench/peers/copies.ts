/** Copies through a virt server: where the disk takes no part, and where it does. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { timeProgram, VirtServer } from '../client.ts';
import { touchMemory } from '../memory.ts';
import type { Results } from '../results.ts';
import { type EndOfSession, giveTo, type ServerPeer } from './virt-server.ts';

const FILES = 10_000;
const BIG = 256 * 1024 ** 2;
/** How often the large one is copied in one session. */
const BIG_FILES = 3;
type Copied = `copy${'down' | 'up'} ${'10,000 files' | '256 MiB'}`;

/** The things to copy, made once: a tree of 10,000 small files, and one file of 256 MiB that is no hole. */
export function makeCopyMaterial(folder: string): void {
  const tree = join(folder, 'tree');
  for (let file = 0; file < FILES; file++) {
    const place = join(tree, `folder-${file % 100}`);
    if (file < 100) mkdirSync(place, { recursive: true });
    writeFileSync(join(place, `file-${file}`), 'x'.repeat((file * 37) % 4096));
  }
  const chunk = Buffer.alloc(1024 ** 2, 'virt-ts-unshare ');
  writeFileSync(join(folder, 'big'), Buffer.concat(Array.from({ length: BIG / chunk.length }, () => chunk)));
}

/**
 * Copies the material down and up.
 * @param folder of the material; what is copied up goes there as well, and servers keep there what they keep in TMPDIR
 * @param place behind the names of the figures
 */
export async function copies(
  { name, argv, caller }: ServerPeer,
  folder: string,
  place: '' | ', disk',
  results: Results,
): Promise<EndOfSession> {
  const server = await VirtServer.start(argv, { ...caller, env: { ...caller.env, TMPDIR: folder } });
  const [scratch = ''] = await server.ask('open');
  const execute = await server.executeCommand();
  const up = mkdtempSync(join(folder, 'up-'));
  giveTo(up, caller);
  const time = async (figure: Copied, request: string): Promise<void> => {
    touchMemory();
    results.add(name, `${figure}${place}`, await server.time(request));
  };
  await time('copydown 10,000 files', `copydown ${folder}/tree/ ${scratch}/tree/`);
  await time('copyup 10,000 files', `copyup ${scratch}/tree/ ${up}/tree/`);
  for (let file = 0; file < BIG_FILES; file++) {
    await time('copydown 256 MiB', `copydown ${folder}/big ${scratch}/big`);
    await time('copyup 256 MiB', `copyup ${scratch}/big ${up}/big`);
    await timeProgram([...execute, 'rm', `${scratch}/big`], caller);
    rmSync(join(up, 'big'));
  }
  return async () => {
    await server.quit();
    rmSync(up, { recursive: true });
  };
}
