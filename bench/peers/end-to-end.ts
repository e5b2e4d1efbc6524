/** autopkgtest from start to end: what a developer waits for. */
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Caller, timeProgram, VirtServer, type Words } from '../client.ts';
import { NULL } from '../report.ts';
import type { Results } from '../results.ts';
import type { ServerPeer } from './virt-server.ts';

/** The null backend cannot run the last one, since it has no revert. */
export const PACKAGES = {
  'autopkgtest, 2 tests': { tests: 2, depends: '', restrictions: 'allow-stderr', script: 'true' },
  'autopkgtest, 5 tests with dependencies': {
    tests: 5,
    depends: 'jq, sqlite3',
    restrictions: 'allow-stderr',
    script: 'echo "SELECT 1;" | sqlite3 | jq .',
  },
  'autopkgtest 6, 10 tests': { tests: 10, depends: '', restrictions: 'allow-stderr', script: 'true' },
  '20 breaks-testbed tests': {
    tests: 20,
    depends: '',
    restrictions: 'breaks-testbed, needs-root',
    script: '[ ! -e /broken ]\n: >/broken',
  },
} as const;
type PackageName = keyof typeof PACKAGES;

/** A source package. */
export function makePackage(folder: string, name: PackageName): string {
  const { tests: count, depends, restrictions, script } = PACKAGES[name];
  const place = join(folder, `tests-${count}`);
  rmSync(place, { recursive: true, force: true });
  mkdirSync(join(place, 'debian', 'source'), { recursive: true });
  mkdirSync(join(place, 'debian', 'tests'));
  const control = 'Source: mock-tests\nMaintainer: Nobody <nobody@example.com>\nStandards-Version: 4.6.2\n';
  writeFileSync(
    join(place, 'debian/control'),
    `${control}\nPackage: mock-tests\nArchitecture: all\nDescription: nothing\n twice\n`,
  );
  writeFileSync(
    join(place, 'debian/changelog'),
    'mock-tests (1) unstable; urgency=low\n\n  * Nothing.\n\n -- Nobody <nobody@example.com>  Mon, 01 Jan 2024 00:00:00 +0000\n',
  );
  writeFileSync(join(place, 'debian/source/format'), '3.0 (native)\n');
  writeFileSync(join(place, 'debian/rules'), '#!/usr/bin/make -f\n%:\n\t:\n', { mode: 0o755 });
  const tests = Array.from({ length: count }, (_, index) => `t${index}`);
  writeFileSync(
    join(place, 'debian/tests/control'),
    tests.map((test) => `Tests: ${test}\nDepends: ${depends}\nRestrictions: ${restrictions}\n`).join('\n'),
  );
  for (const test of tests) {
    writeFileSync(join(place, 'debian/tests', test), `#!/bin/sh\nset -e\n${script}\n`, { mode: 0o755 });
  }
  return place;
}

/** Makes an image with what the tests depend on, and with autopkgtest for `nullInside`. Gives the options of the server. */
export async function prepareImage(
  { program, tarball, caller }: { program: string; tarball: string; caller: Caller },
  name: PackageName,
): Promise<{ readonly argv: readonly string[]; remove(): Promise<void> }> {
  const image = `bench-${process.pid}`;
  const install = `apt-get update && apt-get install -y --no-install-recommends autopkgtest ${PACKAGES[name].depends.replaceAll(',', '')}`;
  await timeProgram(
    [program, 'run', '--tarball', tarball, '--commit', image, '--', 'sh', '-c', install],
    caller,
  );
  return {
    argv: ['--release', image],
    remove: async () => {
      await timeProgram([program, 'rootfs', 'remove', image], caller);
    },
  };
}

interface Run {
  readonly name: PackageName;
  /** Of `makePackage`. */
  readonly place: string;
  /** Default: the one of the PATH. */
  readonly driver?: string | undefined;
}

/**
 * The null backend as root of the same root filesystem, which is a testbed: there it installs the dependencies of each test as a
 * driver does with any backend. On the host it would be another apt with other package lists, and nothing for an ordinary user.
 */
export async function nullInside(
  argv: Words,
  caller: Caller,
  { name, place }: Run,
  results: Results,
): Promise<void> {
  const server = await VirtServer.start(argv, caller);
  await server.ask('open');
  const execute = await server.executeCommand();
  await server.ask(`copydown ${place}/ /srv/package/`);
  const words = ['autopkgtest', '--quiet', '--no-built-binaries', '/srv/package/', '--', 'null'];
  results.add(NULL, name, await timeProgram([...execute, ...words], caller));
  await server.quit();
}

export async function endToEnd(
  peer: Pick<ServerPeer, 'name' | 'argv' | 'caller'>,
  { name, place, driver = 'autopkgtest' }: Run,
  results: Results,
): Promise<void> {
  const copy = `${place}-${process.pid}`;
  cpSync(place, copy, { recursive: true });
  try {
    const argv = [driver, '--quiet', '--no-built-binaries', `${copy}/`, '--', ...peer.argv];
    results.add(peer.name, name, await timeProgram(argv, peer.caller));
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}
