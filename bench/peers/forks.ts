/** Snapshots and forks: of the library (bench/forks-client.js), and of podman. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Caller, timeProgram } from '../client.ts';
import { SELF } from '../report.ts';
import { type Figure, isFigure, type Results } from '../results.ts';
import { memoryOf } from './many.ts';
import { PODMAN } from './others.ts';

const ROUNDS = 30;
const TESTBEDS = 50;
const MEMORY: Readonly<Record<string, Figure>> = {
  '50 testbeds': '50 testbeds in Node: MiB for each',
  '50 forks': '50 forks in Node: MiB for each',
};

interface Forks {
  /** bin/virt-ts-unshare of the package to measure. */
  readonly program: string;
  readonly tarball: string;
  /** One with apt, for the tests with PostgreSQL; they need a package mirror. */
  readonly build: string | undefined;
  readonly caller: Caller;
}

export async function forks({ program, tarball, build, caller }: Forks, results: Results): Promise<void> {
  const folder = dirname(dirname(program));
  const words = [
    join(folder, 'bench/forks-client.js'),
    join(folder, 'dist/index.js'),
    tarball,
    String(ROUNDS),
  ];
  if (build !== undefined) words.push(build, postgresql());
  const child = spawn(process.execPath, words, { ...caller, cwd: '/', stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  for await (const line of createInterface({ input: child.stdout })) {
    const said: { figure?: string; sample?: number; measure?: string } = JSON.parse(line);
    if (said.figure !== undefined && isFigure(said.figure)) results.add(SELF, said.figure, said.sample ?? 0);
    const figure = said.measure === undefined ? undefined : MEMORY[said.measure];
    if (figure !== undefined) results.add(SELF, figure, memoryOf(child.pid ?? 0) / TESTBEDS);
    if (said.measure !== undefined) child.stdin.write('\n');
  }
  const [status] = await ended;
  if (status !== 0) throw new Error(`bench/forks-client.js ended with status ${status}`);
}

function postgresql(): string {
  return readFileSync(join(import.meta.dirname, '../postgresql.sh'), 'utf8');
}

const IMAGE = 'virt-ts-unshare-bench';

/** The same tests by podman, as root. Its containers have to reach a package mirror by the host's network. */
export async function podmanForks(build: string, results: Results): Promise<void> {
  const podman = (...argv: string[]) => timeProgram(['podman', ...PODMAN.global, ...argv]);
  const run = [...PODMAN.run, '--network=host'];
  await podman('import', build, IMAGE);
  try {
    await podman('run', '--name', IMAGE, ...run, IMAGE, 'sh', '-c', INSTALL);
    results.add('podman', 'snapshot', await podman('commit', IMAGE, `${IMAGE}-ready`));
    for (let round = 0; round < 10; round++) {
      const took = await podman('run', '--rm', ...run, `${IMAGE}-ready`, 'sh', '-c', postgresql());
      results.add('podman', 'a test with PostgreSQL', took);
      results.add(
        'podman',
        'open from a snapshot',
        await podman('run', '--rm', ...run, `${IMAGE}-ready`, 'true'),
      );
    }
  } finally {
    await podman('rm', '--force', '--ignore', IMAGE).catch(() => 0);
    await podman('rmi', '--force', '--ignore', `${IMAGE}-ready`, IMAGE).catch(() => 0);
  }
}

const INSTALL =
  'apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends postgresql';
