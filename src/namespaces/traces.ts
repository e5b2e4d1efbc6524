/** What shows that a set of namespaces still exists, and the processes that keep it. */
import {
  closeSync,
  type FSWatcher,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  watch,
} from 'node:fs';
import { processEnded } from '../processes/identity.ts';
import { allPids, namespaceOf } from '../processes/list.ts';
import { notThere, type ProcessState, processState } from '../processes/stat.ts';

export class Traces {
  /** Resolves when the kernel has freed the mounts; at once where there is no inotify watch left. */
  readonly unmounted: Promise<void>;
  /** True when `unmounted` comes from the kernel. */
  readonly watching: boolean;
  readonly #watcher: FSWatcher | undefined;
  readonly #namespace: string | undefined;
  readonly #pin: number | undefined;
  readonly #rootMount: string | undefined;
  readonly #device: number | undefined;
  #isUnmounted = false;
  #asked: number | undefined;

  /**
   * @param mountPoint in the testbed: where a file system is mounted that no other mount namespace has
   * @throws TestbedError when another process of this machine has the pid already: what it has must not be ended
   */
  constructor(pid: number, mountPoint: string) {
    this.#namespace = namespaceOf(pid, 'pid');
    if (this.#namespace === namespaceOf(process.pid, 'pid')) throw processEnded(pid);
    this.#pin = pinNumber(pid);
    this.#rootMount = mountOf(`/proc/${pid}/root`);
    const watched = `/proc/${pid}/root${mountPoint}/.`;
    this.#device = deviceOf(watched);
    const { watcher, unmounted } = watchMount(watched);
    this.#watcher = watcher;
    this.watching = watcher !== undefined;
    this.unmounted = unmounted.then(() => {
      this.#isUnmounted = this.watching;
    });
  }

  /** Processes that are in the namespaces, have entered them or hold them open. Reads every process of the machine. */
  holders(): ProcessState[] {
    this.#asked ??= ticksNow();
    const asked = this.#asked;
    const below = this.#isUnmounted ? [] : this.#processes((pid) => this.#isBelow(pid));
    // The id of a mount is reused as soon as it is gone. While the watch exists the old mount exists. Without a watch, at
    // least processes that started later are left out.
    const isThere = this.watching && isWatched(this.#device);
    const inside = below.filter(({ startTime }) => (this.watching ? isThere : Number(startTime) <= asked));
    const known = new Set(inside.map(({ pid }) => pid));
    return [
      ...inside,
      ...this.#processes((pid) => !known.has(pid) && (this.#isInside(pid) || this.#holdsNamespace(pid))),
    ];
  }

  users(): ProcessState[] {
    return this.#processes(
      (pid) =>
        this.#rootMount !== undefined &&
        (mountOf(`/proc/${pid}/cwd`) === this.#rootMount ||
          openFiles(pid).some((fd) => mountIn(`/proc/${pid}/fdinfo/${fd}`) === this.#rootMount)),
    );
  }

  release(): void {
    this.#watcher?.close();
    if (this.#pin !== undefined) closeSync(this.#pin);
  }

  #processes(test: (pid: number) => boolean): ProcessState[] {
    return allPids()
      .filter((pid) => pid !== process.pid && test(pid))
      .flatMap((pid) => processState(pid) ?? []);
  }

  /** Whether its root is the mount. In the pid namespace of another testbed it is a later mount that has got the id. */
  #isBelow(pid: number): boolean {
    if (this.#rootMount === undefined || mountOf(`/proc/${pid}/root`) !== this.#rootMount) return false;
    const namespace = namespaceOf(pid, 'pid');
    return this.#isNamespace(namespace) || namespace === namespaceOf(process.pid, 'pid');
  }

  #isInside(pid: number): boolean {
    return (
      this.#isNamespace(namespaceOf(pid, 'pid_for_children')) || this.#isNamespace(namespaceOf(pid, 'pid'))
    );
  }

  #holdsNamespace(pid: number): boolean {
    return openFiles(pid).some((fd) => this.#isNamespace(linkOf(`/proc/${pid}/fd/${fd}`)));
  }

  #isNamespace(link: string | undefined): boolean {
    return link !== undefined && link === this.#namespace;
  }
}

/** The number of a namespace is reused at once, but not while it is open. */
function pinNumber(pid: number): number | undefined {
  try {
    return openSync(`/proc/${pid}/ns/pid`, 'r');
  } catch (error) {
    return notThere(error);
  }
}

/**
 * inotify(7) reports when the file system of a watched directory is unmounted in the last mount namespace and no process has
 * a file of it open; the watch itself holds nothing. The event is named after the last part of the path, and no file has the
 * name `.`.
 */
export function watchMount(path: string): { watcher: FSWatcher | undefined; unmounted: Promise<void> } {
  let watcher: FSWatcher;
  try {
    watcher = watch(path, { persistent: false });
  } catch {
    return { watcher: undefined, unmounted: Promise.resolve() };
  }
  const unmounted = new Promise<void>((resolve) => {
    watcher.on('change', (event, name) => {
      if (event === 'rename' && name === '.') resolve();
    });
    watcher.on('error', () => resolve());
  });
  return { watcher, unmounted };
}

function deviceOf(path: string): number | undefined {
  try {
    return statSync(path).dev;
  } catch {
    return undefined;
  }
}

/** Whether this process watches a file system (proc(5), fdinfo): only after that is the id of its last mount free. */
function isWatched(device: number | undefined): boolean {
  if (device === undefined) return false;
  const major = (device >> 8) & 0xfff;
  const minor = (device & 0xff) | ((device >> 12) & 0xfff00);
  // MKDEV() in linux/kdev_t.h.
  const line = new RegExp(`^inotify .* sdev:${((major << 20) | minor).toString(16)} `, 'm');
  return openFiles(process.pid).some(
    (fd) =>
      linkOf(`/proc/self/fd/${fd}`)?.includes('inotify') === true &&
      line.test(textOf(`/proc/self/fdinfo/${fd}`)),
  );
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    return notThere(error) ?? '';
  }
}

/** In hundredths of a second after boot, as start times of processes. */
function ticksNow(): number {
  return Math.floor(Number.parseFloat(textOf('/proc/uptime')) * 100);
}

function openFiles(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`);
  } catch (error) {
    return notThere(error) ?? [];
  }
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

/** An open with O_PATH, which Node does not name, does not touch the file, so a hanging file system does no harm. */
const O_PATH = 0o10000000;

function mountOf(path: string): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, O_PATH);
  } catch (error) {
    return notThere(error);
  }
  try {
    return mountIn(`/proc/self/fdinfo/${fd}`);
  } finally {
    closeSync(fd);
  }
}

function mountIn(fdinfo: string): string | undefined {
  return /^mnt_id:\s*(\d+)/m.exec(textOf(fdinfo))?.[1];
}
