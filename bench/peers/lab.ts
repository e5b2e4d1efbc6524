/** Networks: what an own one adds to an open, and what each host of a laboratory costs. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { timeProgram, VirtServer } from '../client.ts';
import type { Results } from '../results.ts';
import type { ServerPeer } from './virt-server.ts';

const HOSTS = 8;

export async function networks(
  peer: ServerPeer,
  tarball: string,
  folder: string,
  results: Results,
): Promise<void> {
  const server = await VirtServer.start([...peer.argv, '--network=private'], peer.caller);
  results.add(peer.name, 'open, private network', await server.time('open'));
  results.add(peer.name, 'close, private network', await server.time('close'));
  await server.quit();
  const path = join(folder, 'lab.yaml');
  const hosts = Array.from({ length: HOSTS }, (_, index) => `  host${index}:`).join('\n');
  writeFileSync(path, `root: {tarball: ${tarball}}\nnetworks: {lan: 10.5.0.0/24}\nhosts:\n${hosts}\n`);
  chmodSync(path, 0o644);
  const [program] = peer.argv;
  if (program === undefined) return;
  const lab = async (command: string) =>
    (await timeProgram([program, 'lab', command, path], peer.caller)) / HOSTS;
  results.add(peer.name, 'lab up, each of 8 hosts', await lab('up'));
  results.add(peer.name, 'lab down, each of 8 hosts', await lab('down'));
}
