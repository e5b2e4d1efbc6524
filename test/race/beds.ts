/** Testbeds of the four shells that /bin/sh may be, and of another architecture. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemCodeOf } from '../../src/errors.ts';
import type { Provider } from '../../src/testbed/provider.ts';
import type { OpenTestbed } from '../../src/testbed/types.ts';
import { waitUntil } from '../../src/wait.ts';
import { projectDir, testTarball } from '../support/rootfs.ts';
import { testProvider } from '../support/testbed.ts';
import type { Bed } from './runner.ts';

const NATIVE = ['dash', 'bash', 'mksh', 'busybox'] as const;
/** The last one is busybox in qemu. */
export const shells = [...NATIVE, 'arm64'] as const;
export type Shell = (typeof shells)[number];

/** Makes the tarballs of the four root filesystems; the caller removes the folder. */
export function makeRoots(wanted: readonly Shell[] = NATIVE): {
  readonly folder: string;
  readonly tarball: (shell: Shell) => string;
} {
  const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-roots-'));
  const tarball = (shell: Shell) => (shell === 'arm64' ? testTarball(shell) : join(folder, `${shell}.tar`));
  for (const shell of wanted) {
    execFileSync('sh', [`${projectDir}test/race/make-root.sh`, shell, tarball(shell)], { stdio: 'inherit' });
  }
  return { folder, tarball };
}

/** Without the two words that qemu has before those of the program: its own, and the program's path. */
function commandLine(text: string): string[] {
  const words = text.split('\0').slice(0, -1);
  return /qemu/.test(words[0] ?? '') ? words.slice(2) : words;
}

/** An open testbed with what the cases ask of one. */
export class RaceBed implements Bed {
  readonly provider: Provider;
  readonly testbed: OpenTestbed;

  private constructor(provider: Provider, testbed: OpenTestbed) {
    this.provider = provider;
    this.testbed = testbed;
  }

  static async open(tarball: string): Promise<RaceBed> {
    const provider = testProvider({ root: { tarball }, scratch: { kind: 'tmpfs' } });
    return new RaceBed(provider, await provider.open());
  }

  execute(drain: number): readonly string[] {
    const words = [...this.testbed.executeCommand];
    words[words.indexOf('-d') + 1] = String(drain);
    return words;
  }

  async read(path: string, encoding: BufferEncoding = 'utf8'): Promise<string | undefined> {
    try {
      return readFileSync(`/proc/${this.testbed.pid}/root${path}`, encoding);
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Pids inside and command lines of all processes. */
  processes(): { readonly pid: number; readonly words: readonly string[]; readonly state: string }[] {
    const proc = `/proc/${this.testbed.pid}/root/proc`;
    return readdirSync(proc).flatMap((name) => {
      if (!/^\d+$/.test(name)) return [];
      try {
        const words = commandLine(readFileSync(`${proc}/${name}/cmdline`, 'utf8'));
        const state = /^State:\s+(\S)/m.exec(readFileSync(`${proc}/${name}/status`, 'utf8'))?.[1] ?? '?';
        return [{ pid: Number(name), words, state }];
      } catch {
        return [];
      }
    });
  }

  async sleeping(): Promise<number[]> {
    return this.processes()
      .filter(({ words }) => words[0] === 'sleep')
      .map(({ words }) => Number(words[1]));
  }

  async endSleeping(): Promise<void> {
    const pids = () =>
      this.processes().flatMap(({ pid, words }) => (words[0] === 'sleep' ? [String(pid)] : []));
    await this.testbed.run(['kill', '-9', ...pids()]);
    assert.ok(await waitUntil(() => pids().length === 0, 30_000), 'SIGKILL does not end them');
  }

  async dispose(): Promise<void> {
    await this.provider.dispose();
  }
}
