/** Whoever may open a testbed, a root filesystem with the attack programs, and the built program as such a caller calls it. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { call, type Ended, PROGRAM } from '../support/program.ts';
import { projectDir } from '../support/rootfs.ts';
import { ONLY_ROOT } from '../support/skip.ts';

export interface Caller {
  readonly name: string;
  readonly words: readonly string[];
  /** Root of the testbed has the same id on the host as the caller. */
  readonly sameId: boolean;
}

const isRoot = process.getuid?.() === 0;
const ONE_ID: Caller = {
  name: isRoot ? 'root, with one id' : 'an ordinary user, with one id',
  words: ['unshare', '--user', '--map-root-user'],
  sameId: true,
};
const OF_RANGES: Caller = {
  name: isRoot ? 'root' : 'an ordinary user with ranges',
  words: [],
  sameId: false,
};

export const CALLERS: readonly Caller[] = ONLY_ROOT ? [ONE_ID] : [OF_RANGES, ONE_ID];

const ATTACKS = `${projectDir}test/escape/attacks`;
const APPLETS = [
  ...[
    'sh',
    'ls',
    'cat',
    'id',
    'ln',
    'mkdir',
    'mount',
    'umount',
    'mv',
    'rm',
    'true',
    'echo',
    'sleep',
    'touch',
  ],
  ...[
    'tar',
    'find',
    'head',
    'grep',
    'sort',
    'wc',
    'chmod',
    'mknod',
    'chroot',
    'readlink',
    'kill',
    'stat',
    'cp',
  ],
];

/** A temporary directory with all that the attacks need; `remove` deletes it. */
export class World {
  readonly folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-escape-'));
  readonly root = join(this.folder, 'root');
  /** Attack programs that run on the host, as a control or a victim. */
  readonly programs = join(this.folder, 'programs');

  constructor(...names: readonly string[]) {
    chmodSync(this.folder, 0o755);
    mkdirSync(this.programs);
    for (const name of names) {
      const shared = name.endsWith('.so');
      const source = join(ATTACKS, `${basename(name, '.so')}.c`);
      const how = shared ? ['-shared', '-fPIC'] : ['-static'];
      execFileSync('gcc', ['-std=gnu17', '-O1', ...how, '-o', join(this.programs, name), source]);
    }
    this.makeRoot(this.root);
  }

  /** A new directory that every user may read. */
  directory(prefix: string): string {
    const path = mkdtempSync(join(this.folder, prefix));
    chmodSync(path, 0o755);
    return path;
  }

  /** A root filesystem: busybox, and the attack programs below /attacks. */
  makeRoot(path: string): void {
    for (const name of ['bin', 'etc', 'dev', 'proc', 'sys', 'run', 'tmp', 'root', 'attacks']) {
      mkdirSync(join(path, name), { recursive: true });
    }
    cpSync('/bin/busybox', join(path, 'bin/busybox'));
    for (const applet of APPLETS) symlinkSync('busybox', join(path, 'bin', applet));
    for (const name of readdirSync(this.programs)) {
      cpSync(join(this.programs, name), join(path, 'attacks', name));
    }
    writeFileSync(join(path, 'etc/passwd'), 'root:x:0:0::/root:/bin/sh\n');
    writeFileSync(join(path, 'etc/group'), 'root:x:0:\n');
  }

  get #env(): Record<string, string> {
    return { XDG_CACHE_HOME: join(this.folder, 'cache'), XDG_RUNTIME_DIR: '' };
  }

  /** Runs a script in a testbed as root inside. */
  run(
    caller: Caller,
    script: string,
    { options = [], env = {}, cwd, before = [] }: RunOptions = {},
  ): Promise<Ended> {
    return this.#call(caller, ['run', ...this.#testbed(options), '--', 'sh', '-c', script], {
      env,
      cwd,
      before,
    });
  }

  /** Sends requests to a server, and gives what it replied. */
  session(
    caller: Caller,
    requests: readonly string[],
    { options = [], env = {}, cwd, before = [] }: RunOptions = {},
  ): Promise<Ended> {
    const input = `${requests.join('\n')}\n`;
    return this.#call(caller, this.#testbed(options), { env, cwd, before, input });
  }

  /** The words that a shell would call it by. */
  words(caller: Caller, ...words: readonly string[]): string[] {
    return [...caller.words, process.execPath, PROGRAM, ...words];
  }

  #testbed(options: readonly string[]): string[] {
    const own = options.some((word) => word === '--rootfs') ? [] : ['--rootfs', this.root];
    return [
      ...own,
      ...(options.some((word) => word.startsWith('--network')) ? [] : ['--network=none']),
      ...options,
    ];
  }

  #call(
    caller: Caller,
    words: readonly string[],
    { env, cwd, before, input }: Omit<RunOptions, 'options'> & { readonly input?: string },
  ): Promise<Ended> {
    const [file = '', ...args] = [...(before ?? []), ...this.words(caller, ...words)];
    return call([file, ...args], {
      env: { ...this.#env, ...env },
      ...(cwd === undefined ? {} : { cwd }),
      ...(input === undefined ? {} : { input }),
    });
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

interface RunOptions {
  readonly options?: readonly string[] | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly cwd?: string | undefined;
  /** Words of the host before those of the caller. */
  readonly before?: readonly string[] | undefined;
}

/** As a word of a request. */
export const command = (script: string): string => `command sh,-c,${encodeURIComponent(script)}`;
