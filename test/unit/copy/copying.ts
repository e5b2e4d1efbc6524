/** What the tests of copying share: a fresh folder for each test, and copies between two places in it. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { copyIn, copyOut } from '../../../src/copy/copy.ts';
import type { CopyOptions } from '../../../src/copy/types.ts';
import { CopyError } from '../../../src/errors.ts';
import { silentLog } from '../../../src/log.ts';
import { HostTestbed, type Mover } from './host-testbed.ts';

export const OPTIONS: CopyOptions = { log: silentLog, timeout: 20 };

/** A copy of what has the first name in the folder to the second. */
export type Copy = (from: string, to: string, options?: CopyOptions) => Promise<void>;

export interface Folder {
  /** Of a name in it; of the folder itself if the name is empty. */
  path(name: string): string;
  bytes(name: string): Buffer;
  readonly host: HostTestbed;
  readonly down: Copy;
  readonly up: Copy;
  /** A testbed whose tar is a shell script, but for being asked what it can, which it answers as GNU tar. */
  withTar(script: string): HostTestbed;
  /** A testbed whose shell is a shell script; its fourth argument is the path of the file. */
  withShell(script: string): HostTestbed;
}

/** To be called in a `describe`: the folder is made before each test in it, below another one, and removed afterwards. */
export function useFolder(above = tmpdir(), mover?: Mover): Folder {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(above, 'virt-ts-unshare-test-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const host = new HostTestbed({ mover });
  const path = (name: string): string => join(folder, name);
  const bytes = (name: string): Buffer => Buffer.from(`${folder}/${name}`);
  const program = (name: string, script: string): string => {
    mkdirSync(path('bin'), { recursive: true });
    writeFileSync(path(`bin/${name}`), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    return path(`bin/${name}`);
  };
  return {
    ...{ path, bytes, host },
    down: (from, to, options = OPTIONS) => copyIn(host, bytes(from), bytes(to), options),
    up: (from, to, options = OPTIONS) => copyOut(host, bytes(from), bytes(to), options),
    withTar: (script) => {
      program('tar', `case "$*" in *"-T /dev/null"*) exit 0 ;; esac\n${script}`);
      return new HostTestbed({ path: `${path('bin')}:${process.env.PATH}`, mover });
    },
    withShell: (script) => new HostTestbed({ shell: program('shell', script), mover }),
  };
}

/** Asserts that a copy fails with this code, or in words that match. */
export function fails(copy: Promise<unknown>, expected: string | RegExp): Promise<void> {
  return assert.rejects(copy, (error) => {
    assert.ok(error instanceof CopyError, String(error));
    if (typeof expected === 'string') assert.equal(error.code, expected, error.message);
    else assert.match(error.message, expected);
    return true;
  });
}
