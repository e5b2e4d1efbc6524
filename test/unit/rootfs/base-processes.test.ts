import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { silentLog } from '../../../src/log.ts';
import type { CacheFolder } from '../../../src/rootfs/cache.ts';
import { tryLock, waitLock } from '../../../src/rootfs/lock.ts';
import { listBases, prune } from '../../../src/rootfs/prune.ts';
import { removeBase } from '../../../src/rootfs/remove.ts';
import { BaseCache, textIn } from '../../support/bases.ts';
import { fakeHolder } from '../../support/fake-holder.ts';
import { projectDir } from '../../support/rootfs.ts';

describe('a base, with several processes', function () {
  this.timeout(30_000);
  let children: ChildProcess[];
  let folder: string;
  let cache: CacheFolder;
  let tarball: string;
  let made: BaseCache;
  const makeTarball = (name: string, text: string) => made.makeTarball(name, text);
  const use = (path?: string) => made.use(path);
  const entries = () => made.entries();

  beforeEach(() => {
    made = new BaseCache();
    ({ folder, cache, tarball } = made);
    children = [];
  });
  afterEach(async () => {
    for (const child of children) {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }
    made.remove();
  });

  /** Starts test/support/use-base.ts; `tools` is a folder with programs that go before the usual ones. */
  function startUser(tools?: string): ChildProcess & { line: Promise<string>; words: () => string } {
    const child = spawn(
      process.execPath,
      ['--import=tsx', join(projectDir, 'test/support/use-base.ts'), tarball],
      {
        cwd: projectDir,
        env: {
          ...process.env,
          XDG_CACHE_HOME: folder,
          PATH: `${tools === undefined ? '' : `${tools}:`}${process.env.PATH ?? ''}`,
          TOOLS: tools ?? '',
        },
        stdio: ['pipe', 'pipe', 'pipe'],
      },
    );
    children.push(child);
    let words = '';
    child.stderr.on('data', (chunk) => {
      words += String(chunk);
    });
    const line = new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stdout }).once('line', resolve);
      child.once('exit', (code) => reject(new Error(`ended with ${code}: ${words}`)));
    });
    line.catch(() => {});
    return Object.assign(child, { line, words: () => words });
  }

  /** A tar that unpacks, says so by `TOOLS/started` and its pid, and goes on only when `TOOLS/go` is there. */
  function slowTar(): string {
    const tools = join(folder, 'tools');
    mkdirSync(tools);
    const tar = execFileSync('sh', ['-c', 'command -v tar'], { encoding: 'utf8' }).trim();
    writeFileSync(
      join(tools, 'tar'),
      `#!/bin/sh\n${tar} "$@" || exit\necho $$ >"$TOOLS/pid"\nmv "$TOOLS/pid" "$TOOLS/started"\nread -r go <"$TOOLS/go"\n`,
      { mode: 0o755 },
    );
    execFileSync('mkfifo', [join(tools, 'go')]);
    return tools;
  }

  async function untilThere(path: string): Promise<void> {
    while (!existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  it('unpacks once when two start at once', async () => {
    const users = [startUser(), startUser()];
    const [a, b] = await Promise.all(users.map((user) => user.line));
    assert.equal(a, b);
    assert.equal(entries().length, 1);
    const unpackings = users.filter((user) => user.words().includes('tar --extract'));
    assert.equal(unpackings.length, 1);
    assert.equal(listBases(cache)[0]?.users.length, 2);
    for (const user of users) {
      user.stdin?.end();
      await once(user, 'exit');
    }
    assert.deepEqual(listBases(cache)[0]?.users, []);
  });

  it('never takes half a tree of a killed process for whole, and removes it', async () => {
    const tools = slowTar();
    const killed = startUser(tools);
    await untilThere(join(tools, 'started'));
    const [left] = entries();
    assert(left !== undefined);
    assert.match(left, /^\.new-/);
    killed.kill('SIGKILL');
    await once(killed, 'exit');
    // Its tar lives and still writes, so the lock is not free.
    const lockPath = join(cache.locks, `unpack-${left.slice('.new-'.length)}`);
    assert.equal(await tryLock(lockPath, silentLog), undefined);
    let done = false;
    const using = use().finally(() => {
      done = true;
    });
    await prune(cache, fakeHolder, silentLog, { maxAge: 0, maxSize: 0 });
    assert.deepEqual(entries(), [left]);
    assert.equal(done, false);
    writeFileSync(join(cache.bases, left, 'tree/root/half'), '');
    process.kill(Number(readFileSync(join(tools, 'started'), 'utf8')), 'SIGKILL');
    const base = await using;
    assert.equal(textIn(base), 'one');
    assert.equal(existsSync(join(base.path, 'half')), false);
    assert.equal(entries().length, 1);
    await base.release();
  });

  it('removes, at the next start, what a killed process left of another tarball', async () => {
    const tools = slowTar();
    const killed = startUser(tools);
    await untilThere(join(tools, 'started'));
    const other = await use(makeTarball('other.tar', 'other'));
    await other.release();
    assert.equal(entries().filter((name) => name.startsWith('.new-')).length, 1);
    killed.kill('SIGKILL');
    await once(killed, 'exit');
    process.kill(Number(readFileSync(join(tools, 'started'), 'utf8')), 'SIGKILL');
    // The lock is gone once the killed tar is.
    const [left] = entries().filter((name) => name.startsWith('.new-'));
    const lock = await waitLock(join(cache.locks, `unpack-${left?.slice(5)}`), silentLog);
    lock.release();
    const warm = await use(join(folder, 'other.tar'));
    await warm.release();
    assert.equal(entries().length, 1);
  });

  it('never prunes a base in use, and forgets users that were killed', async () => {
    const user = startUser();
    await user.line;
    const [base] = listBases(cache);
    assert.deepEqual(base?.users, [user.pid]);
    assert.deepEqual(await prune(cache, fakeHolder, silentLog, { maxAge: -1, maxSize: 0 }), []);
    assert.equal(await removeBase(cache, base?.key ?? '', fakeHolder, silentLog), false);
    user.kill('SIGKILL');
    await once(user, 'exit');
    const removed = await prune(cache, fakeHolder, silentLog, { maxAge: -1, maxSize: 0 });
    assert.deepEqual(
      removed.map(({ key }) => key),
      [base?.key],
    );
    assert.deepEqual(entries(), []);
  });
});
