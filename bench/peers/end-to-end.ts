/** autopkgtest from start to end: what a developer waits for. */
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { timeProgram } from '../client.ts';
import type { Results } from '../results.ts';
import type { ServerPeer } from './virt-server.ts';

/** Packages without dependencies. The null backend can run only the first one, since it has no revert. */
export const PACKAGES = {
  'autopkgtest, 2 tests': { tests: 2, restrictions: 'allow-stderr', script: 'true' },
  '20 breaks-testbed tests': {
    tests: 20,
    restrictions: 'breaks-testbed, needs-root',
    script: '[ ! -e /broken ]\n: >/broken',
  },
} as const;
type PackageName = keyof typeof PACKAGES;

/** A source package. */
export function makePackage(folder: string, name: PackageName): string {
  const { tests: count, restrictions, script } = PACKAGES[name];
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
    tests.map((test) => `Tests: ${test}\nDepends:\nRestrictions: ${restrictions}\n`).join('\n'),
  );
  for (const test of tests) {
    writeFileSync(join(place, 'debian/tests', test), `#!/bin/sh\nset -e\n${script}\n`, { mode: 0o755 });
  }
  return place;
}

interface Run {
  readonly name: PackageName;
  /** Of `makePackage`. */
  readonly place: string;
}

export async function endToEnd(
  peer: Pick<ServerPeer, 'name' | 'argv' | 'caller'>,
  { name, place }: Run,
  results: Results,
): Promise<void> {
  const copy = `${place}-${process.pid}`;
  cpSync(place, copy, { recursive: true });
  try {
    const argv = ['autopkgtest', '--quiet', '--no-built-binaries', `${copy}/`, '--', ...peer.argv];
    results.add(peer.name, name, await timeProgram(argv, peer.caller));
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}
