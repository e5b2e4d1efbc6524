/** A provider over the tests' small root filesystem, and commands in its testbeds with their output kept. */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../src/log.ts';
import { Provider } from '../../src/testbed/provider.ts';
import type { OpenTestbed, RunOptions, TestbedOptions } from '../../src/testbed/types.ts';
import { testTarball } from './rootfs.ts';

/** The options of a plain testbed, changed where a test wants something else. */
export function testOptions(changes: Partial<TestbedOptions> = {}): TestbedOptions {
  return {
    root: { tarball: testTarball() },
    binds: [],
    scratch: { kind: 'auto' },
    mode: 'overlay',
    network: 'host',
    publish: [],
    drainTimeout: 10,
    copyTimeout: 300,
    ...changes,
  };
}

export function testProvider(changes: Partial<TestbedOptions> = {}): Provider {
  return new Provider(testOptions(changes), silentLog);
}

/** To be called in a `describe`: a plain testbed is opened before its tests, and gone after them. Gives what it is then. */
export function useTestbed(): { readonly provider: Provider; readonly testbed: OpenTestbed } {
  const provider = testProvider();
  let testbed: OpenTestbed | undefined;
  before(async () => {
    testbed = await provider.open();
  });
  after(() => provider.dispose());
  return {
    provider,
    get testbed() {
      if (testbed === undefined) throw new Error('the testbed is not open before the tests');
      return testbed;
    },
  };
}

export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a POSIX shell script inside and keeps what it wrote. */
export async function script(testbed: OpenTestbed, text: string, options: RunOptions = {}): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
  const stdout = openSync(join(folder, 'stdout'), 'w');
  const stderr = openSync(join(folder, 'stderr'), 'w');
  try {
    const { status } = await testbed.run(['sh', '-c', text], { stdout, stderr, ...options });
    const read = (name: string) => readFileSync(join(folder, name), 'utf8');
    return { status, stdout: read('stdout'), stderr: read('stderr') };
  } finally {
    closeSync(stdout);
    closeSync(stderr);
    rmSync(folder, { recursive: true });
  }
}
