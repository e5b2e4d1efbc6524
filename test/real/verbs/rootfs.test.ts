import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { textOf } from '../../../src/host.ts';
import { processTree, stillThere, untilGone, untilRuns } from '../../support/processes.ts';
import { ended, PROGRAM, Terminal, virt } from '../../support/program.ts';
import { testTarball } from '../../support/rootfs.ts';

describe('virt-ts-unshare rootfs', function () {
  this.timeout(120_000);
  let folder: string;
  let env: Record<string, string>;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'vtu-verb-'));
    env = { XDG_CACHE_HOME: folder };
  });
  after(async () => {
    await rootfs('prune', '--max-age', '0');
    rmSync(folder, { recursive: true });
  });

  const rootfs = (...args: string[]) => virt(['rootfs', ...args], { env });
  async function lines(...args: string[]): Promise<string[]> {
    const { status, stdout, stderr } = await rootfs(...args);
    assert.equal(stderr, '');
    assert.equal(status, 0);
    return stdout.trimEnd().split('\n');
  }
  async function refused(words: RegExp, ...args: string[]): Promise<void> {
    const { status, stdout, stderr } = await rootfs(...args);
    assert.match(stderr, words);
    assert.equal(stderr.trimEnd().split('\n').length, 1);
    assert.equal(stdout, '');
    assert.equal(status, 2);
  }

  it('import ends at a signal while it reads stdin, without a message', async () => {
    const importing = spawn(process.execPath, [PROGRAM, 'rootfs', 'import', '-', 'half'], {
      env: { ...process.env, ...env },
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    const words = textOf(importing.stderr);
    const images = join(folder, 'virt-ts-unshare/images');
    const parts = () =>
      existsSync(images) ? readdirSync(images).filter((name) => name.startsWith('.half')) : [];
    while (parts().length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    importing.kill('SIGTERM');
    const [, signal] = await once(importing, 'exit');
    assert.deepEqual([signal, await words, parts()], ['SIGTERM', '', []]);
  });

  it('import leaves no tar that packs a directory when it is killed', async () => {
    const tree = join(folder, 'tree-to-pack');
    mkdirSync(join(tree, 'bin'), { recursive: true });
    execFileSync('cp', ['-L', '/bin/sh', join(tree, 'bin')]);
    const programs = join(folder, 'programs');
    mkdirSync(programs);
    writeFileSync(join(programs, 'tar'), '#!/bin/sh\nexec sleep 1003\n', { mode: 0o755 });
    const importing = spawn(process.execPath, [PROGRAM, 'rootfs', 'import', tree, 'killed'], {
      env: { ...process.env, ...env, PATH: `${programs}:${process.env.PATH}` },
      stdio: 'ignore',
    });
    const ended = once(importing, 'exit');
    const running = await untilRuns('sleep 1003', importing.pid ?? 0);
    importing.kill('SIGKILL');
    await ended;
    await untilGone(running);
  });

  it('import refuses a terminal, with the remedy', async () => {
    const terminal = new Terminal([PROGRAM, 'rootfs', 'import', '-', 'typed'], env);
    await terminal.shows('stdin, which is a terminal; give it a file: rootfs import FILE typed');
    await terminal.close();
  });

  /** A server with an open testbed: gives what ends it. */
  async function openServer(options: string[] = []): Promise<() => Promise<void>> {
    const server = spawn(process.execPath, [PROGRAM, ...options], {
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const answers = createInterface({ input: server.stdout })[Symbol.asyncIterator]();
    assert.deepEqual(await answers.next(), { value: 'ok', done: false });
    server.stdin.write('open\n');
    assert.match(String((await answers.next()).value), /^ok \//);
    return async () => {
      server.stdin.end('quit\n');
      if (server.exitCode === null) await once(server, 'exit');
    };
  }

  it('reports a wrong call in one sentence', async () => {
    await refused(/needs a command; give one of list, build/);
    await refused(/no command make; give one of list, build/, 'make');
    await refused(/unknown option --fast; see rootfs --help/, 'list', '--fast');
    await refused(/there is no image or base none; rootfs list shows/, 'remove', 'none');
    await refused(/unexpected word all; rootfs list takes no words/, 'list', 'all');
    await refused(/--max-age needs DAYS; write --max-age DAYS/, 'prune', '--max-age');
    await refused(/--max-age needs DAYS; write --max-age DAYS/, 'prune', '--max-age', '-1');
    await refused(/--max-age is -1, which is not a number of days/, 'prune', '--max-age=-1');
    await refused(
      /--mirror cannot be used with rootfs list; it belongs to rootfs build, rootfs update/,
      'list',
      '--mirror',
      'x',
    );
    await refused(/--arch cannot be used with rootfs update/, 'update', '-a', 'amd64');
    await refused(/--max-size is much, which is not a size/, 'prune', '--max-size', 'much');
    await refused(/none.*does not exist|cannot find .*none/, 'import', join(folder, 'none'), 'sid');
    await refused(/cannot be the name of an image/, 'import', testTarball(), '../x');
    await refused(/cannot be the name of an image/, 'import', testTarball(), 'x'.repeat(300));
    await refused(/there is no image sid-amd64/, 'update', 'sid-amd64');
    await refused(/y\.tar is the name of a file, not of a release/, 'build', 'y.tar');
    const from = (parent: string) => ['build', 'x', '--from', parent, '--run', 'true'] as const;
    await refused(/cannot find the tarball \/\S+\/y\.tar: ENOENT/, ...from('y.tar'));
    await refused(/--from \S+ is a directory; call rootfs import \S+ NAME first/, ...from(folder));
    assert.match((await lines('--help')).join('\n'), /Examples:\n {2}virt-ts-unshare rootfs build trixie/);
    assert.deepEqual(await lines('list'), ['no images', '', 'no bases']);
  });

  it('imports an image that a server then uses without options, and shows the user of it', async () => {
    const release = execFileSync('sh', ['-c', '. /etc/os-release; echo "$VERSION_CODENAME"'], {
      encoding: 'utf8',
    }).trim();
    const [path = ''] = await lines('import', testTarball(), release);
    assert(existsSync(path));
    const close = await openServer();
    const [head, row = '', , ...bases] = await lines('list');
    assert.match(head ?? '', /^IMAGE +PARENT +SIZE +AGE +PATH$/);
    assert(row.startsWith(`${release}-`) && row.endsWith(path));
    assert.match(bases[1] ?? '', /^[0-9a-f]{12} +\d+[KMG] .* \d+ +\//);
    const { images, bases: known } = JSON.parse((await lines('list', '--json')).join('\n'));
    assert.equal(images[0].path, path);
    assert.equal(known[0].users.length, 1);

    const { status, stderr } = await rootfs('remove', known[0].key);
    assert.match(
      stderr,
      new RegExp(`is in use by process ${known[0].users[0]}; close its testbeds first\n$`),
    );
    assert.equal(status, 1);
    await rootfs('prune', '--max-age', '0', '--max-size', '0');
    assert(existsSync(known[0].path));
    await close();
    assert.deepEqual(await lines('verify', known[0].key), [
      `${known[0].key.slice(0, 12)}  the same as its tarball`,
    ]);
    await lines('remove', known[0].key.slice(0, 12), images[0].name);
    assert(!existsSync(known[0].path));
    assert.deepEqual(await lines('list'), ['no images', '', 'no bases']);
  });

  it('imports in place of an image that was imported, not of one that was built', async () => {
    const tree = join(folder, 'again');
    mkdirSync(join(tree, 'bin'), { recursive: true });
    execFileSync('cp', ['-L', '/bin/sh', join(tree, 'bin')]);
    const [path = ''] = await lines('import', tree, 'again');
    await lines('import', tree, 'again');
    const order = path.replace(/\.tar.*/, '.json');
    writeFileSync(order, '{"kind":"build","release":"again","arch":"amd64"}');
    await refused(
      /the image again-\S+ was built here; call rootfs remove again-\S+ first/,
      'import',
      tree,
      'again',
    );
    await lines('remove', 'again');
    assert(!existsSync(path) && !existsSync(order));
  });

  it('empties the cache, so that rm -rf can delete it', async () => {
    await (await openServer(['-t', testTarball()]))();
    const close = await openServer(['-t', testTarball()]);
    await rootfs('prune', '--all');
    assert.equal(JSON.parse((await lines('list', '--json')).join('\n')).bases.length, 1, 'one is in use');
    await close();
    assert.match((await lines('prune', '--all')).join('\n'), /^[0-9a-f]{12} {2}\/\S+$/);
    execFileSync('rm', ['-rf', join(folder, 'virt-ts-unshare')]);
    assert(!existsSync(join(folder, 'virt-ts-unshare')));
  });

  it('prunes what rm -r has left of a base', async () => {
    await (await openServer(['-t', testTarball()]))();
    const bases = join(folder, 'virt-ts-unshare/bases');
    const [base = ''] = readdirSync(bases);
    rmSync(join(bases, base, 'base.json'));
    assert.deepEqual(await lines('list'), ['no images', '', 'no bases']);
    await lines('prune');
    assert.deepEqual(readdirSync(bases), []);
  });

  it('reports that a base cannot be compared any more', async () => {
    const tree = join(folder, 'tree');
    mkdirSync(join(tree, 'bin'), { recursive: true });
    for (const tool of ['sh', 'cat']) execFileSync('cp', ['-L', `/bin/${tool}`, join(tree, 'bin')]);
    const tarball = join(folder, 'own.tar');
    writeFileSync(join(tree, 'text'), 'text');
    execFileSync('tar', ['-cf', tarball, '-C', tree, '.']);
    // Its /bin/sh lacks its libraries: unpacked it is all the same.
    await virt(['-t', tarball], { env, input: 'open\n' });
    const [base = ''] = readdirSync(join(folder, 'virt-ts-unshare/bases'));
    rmSync(tree, { recursive: true });
    appendFileSync(tarball, 'x');
    assert.match((await lines('verify')).join(), /cannot be compared: its tarball .*own\.tar was changed/);
    await lines('remove', base);
  });

  it('builds, and builds again, by a command of the user', async () => {
    const strap = join(folder, 'strap');
    writeFileSync(strap, `#!/bin/sh\necho "$@" >>'${folder}/calls'\nln -s '${testTarball()}' "$3"\n`, {
      mode: 0o755,
    });
    const [path = ''] = await lines('build', 'trixie-backports', '-a', 'arm64', '--bootstrapcmd', strap);
    assert.match(path, /trixie-arm64\.tar$/);
    assert.deepEqual(await lines('update', 'trixie-arm64', '-m', 'http://mirror.example'), [path]);
    const [first, second] = execFileSync('cat', [join(folder, 'calls')], { encoding: 'utf8' }).split('\n');
    assert.match(first ?? '', /^--arch=arm64 trixie \S+\.tar$/);
    assert.match(second ?? '', /^--arch=arm64 trixie \S+\.tar http:\/\/mirror\.example$/);
    await lines('remove', 'trixie-arm64');
  });

  it('knows an image of this architecture by its release alone', async () => {
    const strap = join(folder, 'native-strap');
    writeFileSync(strap, `#!/bin/sh\nln -s '${testTarball()}' "$2"\n`, { mode: 0o755 });
    const [path = ''] = await lines('build', 'sid', '--bootstrapcmd', strap);
    assert.deepEqual(await lines('update', 'sid'), [path]);
    await lines('remove', 'sid');
    assert(!existsSync(path));
  });

  describe('a first build that lasts', () => {
    /** A command that takes that many seconds. */
    function slowly(seconds: number): string {
      const strap = join(folder, 'slow-strap');
      const script = `#!/bin/sh\necho begun >&2\nsleep ${seconds}\nln -s '${testTarball()}' "$2"\n`;
      writeFileSync(strap, script, { mode: 0o755 });
      return strap;
    }
    const words = (strap: string) => [
      'run',
      '--release',
      'sid',
      '--bootstrapcmd',
      strap,
      '--',
      'echo',
      'ran',
    ];
    afterEach(() => rootfs('remove', 'sid'));

    it('is reported in one line without a terminal, also to a process that waits for it', async () => {
      const strap = slowly(3);
      const both = await Promise.all([1, 2].map(() => virt(words(strap), { env })));
      assert.deepEqual(
        both.map(({ status, stdout }) => [status, stdout]),
        [0, 0].map((status) => [status, 'ran\n']),
      );
      const [building = '', waiting = ''] = both.map(({ stderr }) => stderr).sort();
      assert.match(
        building,
        /^virt-ts-unshare: building the root filesystem sid-\w+ with \S+strap; it is kept\n$/,
      );
      assert.match(waiting, /^virt-ts-unshare: waiting for another process that makes sid-\w+\n$/);
    });

    it('is shown on a terminal, and ended by Ctrl-C without a word', async () => {
      const terminal = new Terminal([PROGRAM, ...words(slowly(1000))], env);
      await terminal.shows('  1 s  begun');
      terminal.type('\x03');
      const said = await terminal.shows('status=130');
      assert.doesNotMatch(said, /virt-ts-unshare:|root filesystem/);
      await terminal.close();
      assert.deepEqual(readdirSync(join(folder, 'virt-ts-unshare/images')), []);
    });

    it('is killed by a second Ctrl-C', async () => {
      const strap = join(folder, 'stubborn-strap');
      const script = "#!/bin/sh\ntrap '' TERM\necho begun >&2\nsleep 1004\n";
      writeFileSync(strap, script, { mode: 0o755 });
      const terminal = new Terminal([PROGRAM, ...words(strap)], env);
      await terminal.shows('begun');
      terminal.type('\x03');
      await terminal.shows('ending ');
      terminal.type('\x03');
      await terminal.shows('status=130');
      await terminal.close();
    });

    for (const [verb, signal, status] of [
      ['run', 'SIGTERM', 143],
      ['rootfs', 'SIGTERM', 143],
      ['rootfs', 'SIGINT', 130],
    ] as const) {
      it(`is ended by ${signal} to ${verb} alone, with all that it has started and written`, async () => {
        const strap = join(folder, 'stubborn-strap');
        const script = `#!/bin/sh\nuname >"$2"\n(trap '' TERM INT; exec sleep 1001) &\nsleep 1000\n`;
        writeFileSync(strap, script, { mode: 0o755 });
        const argv = verb === 'run' ? words(strap) : ['rootfs', 'build', 'sid', '--bootstrapcmd', strap];
        const child = spawn(process.execPath, [PROGRAM, ...argv], { env: { ...process.env, ...env } });
        const end = ended(child);
        assert.ok(child.pid !== undefined);
        await untilRuns('sleep 1001', child.pid);
        await untilRuns('sleep 1000', child.pid);
        const processes = processTree(child.pid);
        child.kill(signal);
        const { stderr, ...rest } = await end;
        assert.deepEqual(stillThere(processes), []);
        assert.deepEqual(rest, { status, stdout: '' });
        assert.doesNotMatch(stderr, /ended|ending|abort/);
        assert.deepEqual(readdirSync(join(folder, 'virt-ts-unshare/images')), []);
      });
    }
  });
});
