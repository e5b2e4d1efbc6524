/** autopkgtest from start to end over a package with many breaks-testbed tests: what a developer waits for. */
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { timeProgram } from '../client.ts';
import type { Results } from '../results.ts';
import type { ServerPeer } from './virt-server.ts';

const TESTS = 20;

/** A source package with 20 tests of which each asks for a fresh testbed. */
export function makePackage(folder: string): string {
  const place = join(folder, 'twenty');
  rmSync(place, { recursive: true, force: true });
  mkdirSync(join(place, 'debian', 'source'), { recursive: true });
  mkdirSync(join(place, 'debian', 'tests'));
  const control = 'Source: twenty\nMaintainer: Nobody <nobody@example.com>\nStandards-Version: 4.6.2\n';
  writeFileSync(
    join(place, 'debian/control'),
    `${control}\nPackage: twenty\nArchitecture: all\nDescription: nothing\n twice\n`,
  );
  writeFileSync(
    join(place, 'debian/changelog'),
    'twenty (1) unstable; urgency=low\n\n  * Nothing.\n\n -- Nobody <nobody@example.com>  Mon, 01 Jan 2024 00:00:00 +0000\n',
  );
  writeFileSync(join(place, 'debian/source/format'), '3.0 (native)\n');
  writeFileSync(join(place, 'debian/rules'), '#!/usr/bin/make -f\n%:\n\t:\n', { mode: 0o755 });
  const tests = Array.from({ length: TESTS }, (_, index) => `t${index}`);
  writeFileSync(
    join(place, 'debian/tests/control'),
    tests.map((name) => `Tests: ${name}\nDepends:\nRestrictions: breaks-testbed, needs-root\n`).join('\n'),
  );
  for (const name of tests) {
    const check = '#!/bin/sh\nset -e\n[ ! -e /broken ]\n: >/broken\n';
    writeFileSync(join(place, 'debian/tests', name), check, { mode: 0o755 });
  }
  return place;
}

export async function endToEnd(peer: ServerPeer, place: string, results: Results): Promise<void> {
  const copy = `${place}-${process.pid}`;
  cpSync(place, copy, { recursive: true });
  try {
    const argv = ['autopkgtest', '--quiet', '--no-built-binaries', `${copy}/`, '--', ...peer.argv];
    results.add(peer.name, '20 breaks-testbed tests', await timeProgram(argv, peer.caller));
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}
