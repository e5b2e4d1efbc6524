/**
 * What a user of the library may write, and must not: compiled against the declarations of the package by
 * test/unit/library/types.test.ts, never run.
 */
import { PassThrough } from 'node:stream';
import {
  CommandFailedError,
  ConnectError,
  closeAll,
  type RunResult,
  Snapshot,
  suiteTestbed,
  Testbed,
  testbedHooks,
  UsageError,
  VirtError,
  withTestbed,
} from 'virt-ts-unshare';

/** Compiles only when both types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function holds<_ extends true>(): void {}

export async function outputs(testbed: Testbed): Promise<void> {
  const plain = await testbed.run(['true']);
  holds<Same<typeof plain.stdout, string>>();
  holds<Same<typeof plain.stderr, string>>();
  holds<Same<typeof plain.status, number>>();
  const line = await testbed.run('echo "$A"', { env: { A: 'b' }, timeout: 3, check: true });
  holds<Same<typeof line.stdout, string>>();
  const bytes = await testbed.run(['cat'], { input: new Uint8Array(3), stdout: 'bytes' });
  holds<Same<typeof bytes.stdout, Buffer>>();
  holds<Same<typeof bytes.stderr, string>>();
  const elsewhere = await testbed.run(['cat'], { stdout: new PassThrough(), stderr: 'inherit' });
  holds<Same<typeof elsewhere.stdout, undefined>>();
  holds<Same<typeof elsewhere.stderr, undefined>>();
  const chosen: 'text' | 'bytes' = Math.random() < 2 ? 'text' : 'bytes';
  const either = await testbed.run(['cat'], { stdout: chosen });
  either.stdout satisfies string | Buffer;
  const result: RunResult = plain;
  result.status.toFixed();
}

export async function streams(testbed: Testbed): Promise<number> {
  const running = await testbed.start('cat', { user: 'nobody', signal: AbortSignal.timeout(100) });
  running.stdin.end('text');
  for await (const chunk of running.stdout) String(chunk);
  running.kill();
  const { status } = await running.ended;
  return status;
}

export async function openingWithSignal(ready: Snapshot, signal: AbortSignal): Promise<void> {
  await Testbed.open({ release: 'trixie', signal });
  const fork = await Testbed.open({ from: ready, signal });
  fork.name satisfies string;
  // @ts-expect-error it has the options of its snapshot
  await Testbed.open({ from: ready, release: 'trixie' });
  await fork.connect(80).catch((error: unknown) => error instanceof ConnectError && error.code);
}

export async function waiting(testbed: Testbed, signal: AbortSignal): Promise<void> {
  const running = await testbed.start('exec daemon');
  const port = await testbed.waitFor({ port: 80 }, { timeout: 3, signal });
  holds<Same<typeof port, undefined>>();
  const line = await testbed.waitFor({ log: /ready/, of: running, times: 2 });
  holds<Same<typeof line, string>>();
  const answer = await testbed.waitFor({ http: 80, path: '/health', status: [200, 204], body: 'ok' });
  holds<Same<typeof answer.status, number>>();
  const { stdout } = await testbed.waitFor({ command: ['pg_isready'], user: 'postgres' });
  holds<Same<typeof stdout, string>>();
  const both = await testbed.waitFor([{ port: 80 }, { log: 'up', of: running }]);
  holds<Same<typeof both, [undefined, string]>>();
  for await (const each of running.lines) each satisfies string;
  for await (const each of running.errorLines) each satisfies string;
  (await testbed.connect(80)).end('text');
  // @ts-expect-error the command whose output it is
  await testbed.waitFor({ log: 'ready' });
  // @ts-expect-error no such condition
  await testbed.waitFor({ file: '/tmp/x' });
}

export async function opening(): Promise<void> {
  await using testbed = await Testbed.open({
    release: 'trixie',
    scratch: 'tmpfs:2g',
    network: 'none',
    bind: [{ outside: '.', inside: '/src' }],
  });
  await testbed.copyIn('file', '/file');
  await testbed.copyOut('/file', 'file');
  await testbed.revert();
  // @ts-expect-error a testbed is opened, not constructed
  new Testbed();
  // @ts-expect-error no such network
  await Testbed.open({ network: 'bridge' });
  // @ts-expect-error no such option
  await Testbed.open({ tarball: 'x' });
  // @ts-expect-error neither memory nor an absolute path
  await Testbed.open({ scratch: 'disk' });
  // @ts-expect-error there has to be a program
  await testbed.run([]);
  // @ts-expect-error no such place
  await testbed.run(['true'], { stdout: 'file' });
  // @ts-expect-error a name has no value of its own
  await testbed.run(['true'], { env: { A: 1 } });
  await closeAll();
}

export async function snapshots(testbed: Testbed): Promise<void> {
  await using ready = await testbed.snapshot();
  const fork: Testbed = await Testbed.open({ from: ready });
  // @ts-expect-error the options are those of the testbed that it was taken of
  await Testbed.open({ from: ready, network: 'none' });
  // @ts-expect-error a snapshot is taken, not constructed
  new Snapshot();
  await fork.close();
  await ready.dispose();
}

export function errors(error: unknown): string | undefined {
  if (error instanceof CommandFailedError) {
    holds<Same<typeof error.status, number>>();
    holds<Same<typeof error.stderr, string | undefined>>();
  }
  if (error instanceof UsageError) error satisfies VirtError;
  return error instanceof VirtError ? error.remedy : undefined;
}

declare function before(hook: () => Promise<void>): void;
const testbed = suiteTestbed({ before, after: before, beforeEach: before }, { hostname: 'one' });
holds<Same<ReturnType<typeof testbed>, Testbed>>();
export const prepared: () => Testbed = suiteTestbed(
  { before, after: before },
  {},
  { prepare: (open) => open.run('true') },
);
export const test: () => Promise<void> = withTestbed({ mode: 'copy' }, async (open) => {
  holds<Same<typeof open, Testbed>>();
});
export const other: () => Promise<void> = withTestbed((open) => open.pid);
export const mochaHooks = testbedHooks();
export const preparedHooks = testbedHooks({}, { prepare: (open) => open.run('true') });

export async function archives(testbed: Testbed): Promise<void> {
  await testbed.write({
    '/etc/a': 'text',
    '/etc/b': { content: new Uint8Array(3), mode: 0o600, user: 'nobody' },
  });
  // @ts-expect-error: a number is no content
  await testbed.write({ '/etc/a': 5 });
  const archive = await testbed.getArchive('/etc');
  archive.pipe(new PassThrough());
  await testbed.putArchive(archive, '/srv');
  await testbed.putArchive(new Blob([]).stream(), '/srv');
  // @ts-expect-error: a text is no archive
  await testbed.putArchive('text', '/srv');
}
