/** The images of this run. They are removed at its end, and those of runs that were killed by the next. */
import { type Argv, quickHost } from '../host.ts';
import type { Log } from '../log.ts';
import { isAlive, thisProcess } from '../processes/identity.ts';
import { openCache } from '../rootfs/cache.ts';
import { committedImages } from '../rootfs/committed.ts';
import { imageNameFor } from '../rootfs/order.ts';

const NAME = /^vtu-test-(\d+)-(\d+)-\d+-/;

export class Images {
  readonly #arch: string | undefined;
  readonly #program: Argv;
  readonly #log: Log;
  readonly #names: string[] = [];

  constructor(arch: string | undefined, program: Argv, log: Log) {
    this.#arch = arch;
    this.#program = program;
    this.#log = log;
  }

  newName(): string {
    const { pid, startTime } = thisProcess();
    const name = imageNameFor(`vtu-test-${pid}-${startTime}-${this.#names.length}`, this.#arch);
    this.#names.push(name);
    return name;
  }

  async removeAll(): Promise<void> {
    const images = committedImages(openCache(process.env)).map(({ name }) => name);
    const names = images.filter((name) => this.#names.includes(name) || isLeft(name));
    if (names.length === 0) return;
    const { status, stderr } = await quickHost([...this.#program, 'rootfs', 'remove', ...names], this.#log);
    if (status !== 0) this.#log.warn(`the images ${names.join(', ')} are left: ${stderr.trim()}`);
  }
}

function isLeft(name: string): boolean {
  const [, pid, startTime] = NAME.exec(name) ?? [];
  return pid !== undefined && startTime !== undefined && !isAlive({ pid: Number(pid), startTime });
}
