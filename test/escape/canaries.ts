/** What an attack that gets out would change or could read: a file, a process's memory, sockets, our own program. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { waitUntil } from '../../src/wait.ts';
import { projectDir } from '../support/rootfs.ts';
import { count } from './tally.ts';

export class Canaries {
  readonly folder: string;
  /** Of mode 600. */
  readonly file: string;
  /** In the file, and in the memory and the environment of a process. */
  readonly secret = `canary-${randomBytes(12).toString('hex')}`;
  /** Name of a listening socket without its zero byte, and the path of another. */
  readonly abstractName = `virt-ts-unshare-${randomBytes(6).toString('hex')}`;
  readonly socketPath: string;
  #connections = 0;
  #expected = 0;
  readonly #servers: Server[] = [];
  readonly #victim: ChildProcess;
  readonly #answers: AsyncIterator<string>;
  readonly #programs = hashOfProgram();
  #entries: string;

  private constructor(folder: string, victim: string) {
    this.folder = join(folder, 'canaries');
    mkdirSync(join(this.folder, 'sub'), { recursive: true });
    this.file = join(this.folder, 'file');
    this.socketPath = join(this.folder, 'socket');
    writeFileSync(this.file, `${this.secret}\n`, { mode: 0o600 });
    // As /etc/environment has it.
    writeFileSync(join(this.folder, 'variables'), `STOLEN=${this.secret}\n`);
    writeFileSync(join(this.folder, 'resolv.conf'), 'nameserver 192.0.2.1\n');
    this.#victim = spawn(victim, [], {
      env: { ...process.env, CANARY: this.secret },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    if (this.#victim.stdout === null) throw new Error('the victim has no stdout');
    this.#answers = createInterface({ input: this.#victim.stdout })[Symbol.asyncIterator]();
    this.#entries = '';
  }

  /** @param victim path of the program that has the secret in its memory */
  static async start(folder: string, victim: string): Promise<Canaries> {
    const canaries = new Canaries(folder, victim);
    await canaries.#listen(`\0${canaries.abstractName}`);
    await canaries.#listen(canaries.socketPath);
    chmodSync(canaries.socketPath, 0o777);
    canaries.#entries = canaries.#list();
    assert.equal(await canaries.#ask(), 'intact');
    return canaries;
  }

  get victimPid(): number {
    return this.#victim.pid ?? 0;
  }

  /** Waits for a connection that an attack, where it may, has made. */
  async expectConnection(): Promise<void> {
    assert.ok(await waitUntil(() => this.#connections > this.#expected, 5000), 'nothing was connected');
    this.#expected = this.#connections;
  }

  async #listen(path: string): Promise<void> {
    const server = createServer((socket) => {
      this.#connections += 1;
      socket.destroy();
    });
    this.#servers.push(server);
    await new Promise<void>((resolve) => server.listen(path, resolve));
  }

  #list(): string {
    const names = readdirSync(this.folder, { recursive: true, encoding: 'utf8' }).sort();
    return names
      .map((name) => {
        const { mode, uid, gid, mtimeMs } = statSync(join(this.folder, name));
        return `${name} ${mode.toString(8)} ${uid} ${gid} ${mtimeMs}`;
      })
      .join('\n');
  }

  async #ask(): Promise<string> {
    this.#victim.stdin?.write('\n');
    const { value, done } = await this.#answers.next();
    return done === true ? 'dead' : String(value);
  }

  /**
   * Throws when an attack has changed something or has printed the secret.
   * @param outputs what the attack wrote
   * @param attacks how many were tried
   */
  async check(outputs: readonly string[], attacks = 1): Promise<void> {
    count(attacks);
    for (const output of outputs)
      assert.ok(!output.includes(this.secret), `the secret was read: ${output.slice(0, 2000)}`);
    assert.equal(readFileSync(this.file, 'utf8'), `${this.secret}\n`);
    assert.equal(this.#list(), this.#entries);
    assert.equal(await this.#ask(), 'intact');
    assert.equal(this.#connections, this.#expected);
    assert.equal(hashOfProgram(), this.#programs);
  }

  async end(): Promise<void> {
    this.#victim.kill('SIGKILL');
    await Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}

function hashOfProgram(): string {
  const hash = createHash('sha256');
  for (const folder of ['bin', 'dist', 'src/in-testbed']) {
    const names = readdirSync(`${projectDir}${folder}`, { recursive: true, encoding: 'utf8' }).sort();
    for (const name of names) {
      const path = `${projectDir}${folder}/${name}`;
      if (statSync(path).isFile()) hash.update(name).update(readFileSync(path));
    }
  }
  const { size, mtimeMs } = statSync(process.execPath);
  return hash.update(`${size} ${mtimeMs}`).digest('hex');
}
