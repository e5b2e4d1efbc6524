/** A testbed of autopkgtest-virt-unshare, for the same cases. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { userInfo } from 'node:os';
import { VirtServer } from '../../bench/client.ts';
import { messageOf } from '../../src/errors.ts';
import { findProgram } from '../../src/processes/find.ts';
import { signalProcess } from '../../src/processes/list.ts';
import type { Bed } from './runner.ts';

export const PEER = 'autopkgtest-virt-unshare';

export class PeerBed implements Bed {
  readonly #server: VirtServer;
  readonly #words: readonly string[];
  /** On the host: it runs commands in a chroot of a namespace for each. */
  readonly #root: string;

  private constructor(server: VirtServer, words: readonly string[]) {
    this.#server = server;
    this.#words = words;
    this.#root = words.at(-2) ?? '';
  }

  /** Gives the bed, or why there is none: not installed, or a user for whom it does not work (root without subordinate ids). */
  static async open(tarball: string): Promise<PeerBed | string> {
    if (findProgram(PEER) === undefined) return 'not installed';
    try {
      const server = await VirtServer.start([PEER, '--tarball', tarball], { env: process.env });
      await server.ask('open');
      return new PeerBed(server, await server.executeCommand());
    } catch (error) {
      return `does not open for ${userInfo().username}: ${messageOf(error)}`;
    }
  }

  execute(): readonly string[] {
    return this.#words;
  }

  async read(path: string): Promise<string | undefined> {
    try {
      return readFileSync(this.#root + path, 'utf8');
    } catch {
      return undefined;
    }
  }

  async sleeping(): Promise<number[]> {
    return this.#sleepers().map(({ argument }) => argument);
  }

  async endSleeping(): Promise<void> {
    for (const { pid } of this.#sleepers()) signalProcess(pid, 'SIGKILL');
  }

  #sleepers(): { readonly pid: number; readonly argument: number }[] {
    return readdirSync('/proc').flatMap((name) => {
      try {
        if (!/^\d+$/.test(name) || readlinkSync(`/proc/${name}/root`) !== this.#root) return [];
        const [program, argument] = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
        return program === 'sleep' ? [{ pid: Number(name), argument: Number(argument) }] : [];
      } catch {
        // It has ended, or is another user's.
        return [];
      }
    });
  }

  async dispose(): Promise<void> {
    await this.#server.quit();
  }
}
