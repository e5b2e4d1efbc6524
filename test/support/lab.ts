/** Laboratories of the tests: files in a folder of their own, the program called for them, and what is left of them. */
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isRecord } from '../../src/processes/claims.ts';
import { commandLine, membersOf, namespaceOf } from '../../src/processes/list.ts';
import { call, type Ended, virt } from './program.ts';
import { testTarball } from './rootfs.ts';

/** Status of a process that got SIGKILL. */
const KILLED = 137;

/**
 * The network and user namespaces of some processes, to list later what is in them. They are held open: the
 * kernel gives the number of one that is gone to the next at once.
 */
export class Namespaces {
  readonly #held: { readonly net: Held; readonly user: Held }[] = [];

  add(pid: number): void {
    this.#held.push({ net: hold(pid, 'net'), user: hold(pid, 'user') });
  }

  /** The processes that are in one of them, by pid and command line. */
  members(types: readonly ('net' | 'user')[] = ['net', 'user']): string[] {
    const pids = this.#held.flatMap((held) =>
      types
        .map((type) => held[type])
        // Real root's switch is in the initial user namespace.
        .filter(({ type, name }) => name !== namespaceOf(process.pid, type))
        .flatMap(({ type, name }) => membersOf(type, name)),
    );
    return [...new Set(pids)].map((pid) => `${pid} ${commandLine(pid)}`);
  }

  /** The interfaces that are in one of them, lo left out. */
  async interfaces(): Promise<string[]> {
    const names: string[] = [];
    for (const { net, user } of this.#held) {
      const enter = [
        ...(user.name === namespaceOf(process.pid, 'user')
          ? []
          : [`--user=/proc/${process.pid}/fd/${user.fd}`, '--preserve-credentials']),
        `--net=/proc/${process.pid}/fd/${net.fd}`,
      ];
      const list = () => call(['nsenter', ...enter, '--', 'ip', '-json', 'link', 'show']);
      let { status, stdout, stderr } = await list();
      // The stage of a server that was killed kills all that it finds in its user namespaces, this process too, until it ends.
      while (status === KILLED) ({ status, stdout, stderr } = await list());
      const links: unknown = status === 0 ? JSON.parse(stdout) : undefined;
      if (!Array.isArray(links)) throw new Error(`cannot list interfaces: ${stderr}`);
      names.push(...links.map((link: { ifname?: unknown }) => String(link.ifname)));
    }
    return names.filter((name) => name !== 'lo');
  }

  release(): void {
    for (const { net, user } of this.#held.splice(0)) {
      closeSync(net.fd);
      closeSync(user.fd);
    }
  }
}

interface Held {
  readonly type: 'net' | 'user';
  readonly name: string;
  readonly fd: number;
}

function hold(pid: number, type: Held['type']): Held {
  const fd = openSync(`/proc/${pid}/ns/${type}`, 'r');
  return { type, fd, name: readlinkSync(`/proc/self/fd/${fd}`) };
}

/** A laboratory file with a registry of its own. */
export class TestLab {
  readonly folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-lab-'));
  readonly path = join(this.folder, 'lab.yaml');
  readonly namespaces = new Namespaces();

  /** @param text the file; `root.tar.zst` beside it is the root filesystem with servers */
  constructor(text: string) {
    writeFileSync(this.path, text);
    symlinkSync(testTarball('lab'), join(this.folder, 'root.tar.zst'));
  }

  call(command: string, ...words: string[]): Promise<Ended> {
    return virt(['lab', command, this.path, ...words], { env: { XDG_RUNTIME_DIR: this.folder } });
  }

  /** As call; throws when it does not end with 0. */
  async must(command: string, ...words: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.call(command, ...words);
    if (status !== 0) throw new Error(`lab ${command} ${words.join(' ')}: ${status}: ${stdout}${stderr}`);
    return stdout;
  }

  async up(): Promise<void> {
    await this.must('up');
    for (const { pid } of await this.hosts()) this.namespaces.add(pid);
  }

  async hosts(): Promise<{ host: string; pid: number; addresses: unknown }[]> {
    const rows: unknown = JSON.parse(await this.must('ps', '--json'));
    if (!Array.isArray(rows)) throw new Error('lab ps --json gave no list');
    return rows.map((row: unknown) => {
      if (!isRecord(row) || typeof row.host !== 'string' || typeof row.pid !== 'number') {
        throw new Error(`not an open host: ${JSON.stringify(row)}`);
      }
      return { host: row.host, pid: row.pid, addresses: row.addresses };
    });
  }

  /** Runs a shell command on a host. */
  on(host: string, text: string): Promise<Ended> {
    return this.call('exec', host, 'sh', '-c', text);
  }

  /** Where the laboratories of its processes are claimed. */
  get claims(): string {
    return join(this.folder, 'virt-ts-unshare', 'laboratories');
  }

  /** What is claimed there now. */
  registered(): string[] {
    return readdirSync(this.claims).filter((name) => !name.startsWith('.'));
  }

  /** Ends it if it is up. */
  async remove(): Promise<void> {
    await this.call('down');
    this.namespaces.release();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** To be called in a `describe`: makes laboratories that are removed after each test. */
export function useLabs(): (text: string) => TestLab {
  const labs: TestLab[] = [];
  afterEach(async () => {
    for (const made of labs.splice(0)) await made.remove();
  });
  return (text) => {
    const made = new TestLab(text);
    labs.push(made);
    return made;
  };
}
