/** What shows that a set of namespaces is still there, and who keeps it from going. */
import { closeSync, type FSWatcher, openSync, readdirSync, readFileSync, readlinkSync, watch } from 'node:fs';
import { allPids, namespaceOf, type ProcessState, processState } from './processes.ts';

export class Traces {
  /** Resolves when the kernel has freed the mounts; at once where it has no watch left to tell us. */
  readonly unmounted: Promise<void>;
  /** True when `unmounted` is the kernel's word. */
  readonly watching: boolean;
  readonly #watcher: FSWatcher | undefined;
  readonly #namespace: string | undefined;
  readonly #pin: number | undefined;
  readonly #rootMount: string | undefined;

  /**
   * @param pid pid 1 of the namespaces, as the host sees it
   * @param mountPoint in the testbed: where a file system is mounted that no other mount namespace has
   */
  constructor(pid: number, mountPoint: string) {
    this.#namespace = namespaceOf(pid, 'pid');
    this.#pin = pinNumber(pid);
    this.#rootMount = mountOf(`/proc/${pid}/root`);
    const { watcher, unmounted } = watchMount(`/proc/${pid}/root${mountPoint}/.`);
    this.#watcher = watcher;
    this.unmounted = unmounted;
    this.watching = watcher !== undefined;
  }

  /**
   * The processes that are in the namespaces, have entered them, put children into them or hold them open, as far as they
   * are ours to see. Costs a look at every process of the machine.
   */
  holders(): ProcessState[] {
    return this.#processes((pid) => this.#isInside(pid) || this.#holdsNamespace(pid));
  }

  /** The processes that only have a file or folder of the testbed's root file system open. */
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

  #isInside(pid: number): boolean {
    return (
      this.#isNamespace(namespaceOf(pid, 'pid_for_children')) ||
      this.#isNamespace(namespaceOf(pid, 'pid')) ||
      (this.#rootMount !== undefined && mountOf(`/proc/${pid}/root`) === this.#rootMount)
    );
  }

  #holdsNamespace(pid: number): boolean {
    return openFiles(pid).some((fd) => this.#isNamespace(linkOf(`/proc/${pid}/fd/${fd}`)));
  }

  /** What cannot be read is nobody's, not ours. */
  #isNamespace(link: string | undefined): boolean {
    return link !== undefined && link === this.#namespace;
  }
}

/** The number of a namespace is given to the next one at once, but not while somebody has it open. */
function pinNumber(pid: number): number | undefined {
  try {
    return openSync(`/proc/${pid}/ns/pid`, 'r');
  } catch {
    return undefined;
  }
}

/**
 * inotify(7) tells when the file system of a watched folder is unmounted for good, that is, when its last mount in the last
 * namespace is gone and nobody has a file of it open; the watch itself keeps nothing. The event is named after the last part
 * of the path, and `.` can be no file that was made in the folder.
 */
function watchMount(path: string): { watcher: FSWatcher | undefined; unmounted: Promise<void> } {
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

function openFiles(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`);
  } catch {
    return [];
  }
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

/** open(2): the file itself is not touched, so one on a file system that hangs does no harm. Node has no name for it. */
const O_PATH = 0o10000000;

/** The id of the mount that a path lies on, as of /proc/PID/mountinfo: one id means one mount while that is there. */
function mountOf(path: string): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, O_PATH);
  } catch {
    return undefined;
  }
  try {
    return mountIn(`/proc/self/fdinfo/${fd}`);
  } finally {
    closeSync(fd);
  }
}

function mountIn(fdinfo: string): string | undefined {
  try {
    return /^mnt_id:\s*(\d+)/m.exec(readFileSync(fdinfo, 'latin1'))?.[1];
  } catch {
    return undefined;
  }
}
