/** Fifty testbeds at once, each running commands: how long an open takes then, and how much memory each costs. */
import { readdirSync, readFileSync } from 'node:fs';
import { timeProgram, VirtServer } from '../client.ts';
import type { Results } from '../results.ts';
import type { ServerPeer } from './virt-server.ts';

const TESTBEDS = 50;

export async function many(peer: ServerPeer, results: Results): Promise<void> {
  const servers = await Promise.all(
    Array.from({ length: TESTBEDS }, async () => {
      const server = await VirtServer.start(peer.argv, peer.caller);
      results.add(peer.name, '50 testbeds: open', await server.time('open'));
      return server;
    }),
  );
  await Promise.all(
    servers.map(async (server) => {
      const execute = await server.executeCommand();
      for (let run = 0; run < 5; run++) await timeProgram([...execute, 'true'], peer.caller);
    }),
  );
  const all = servers.reduce((sum, server) => sum + memoryOf(server.child.pid ?? 0), 0);
  results.add(peer.name, '50 testbeds: MiB for each', all / TESTBEDS);
  await Promise.all(servers.map((server) => server.quit()));
}

/** MiB of a process and all its descendants: proportional set size, without files in memory. */
export function memoryOf(root: number): number {
  return treeOf(root).reduce((sum, pid) => sum + proportionalSetSize(pid), 0) / 1024;
}

/** A process and all its descendants. */
function treeOf(root: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
    } catch {
      // It has ended.
    }
  }
  const belongs = (pid: number): boolean => pid === root || (pid > 1 && belongs(parents.get(pid) ?? 0));
  return [...parents.keys()].filter(belongs);
}

function proportionalSetSize(pid: number): number {
  try {
    return Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
