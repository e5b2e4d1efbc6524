import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { copyIn, copyOut } from '../../../src/copy/copy.ts';
import type { CopyOptions } from '../../../src/copy/types.ts';
import { CopyError, CopyTimeoutError } from '../../../src/errors.ts';
import { type Log, silentLog } from '../../../src/log.ts';
import { childrenOf } from '../../../src/namespaces/processes.ts';
import { skip } from '../../support/skip.ts';
import { HostTestbed } from './host-testbed.ts';
import { describeTree } from './trees.ts';

const OPTIONS: CopyOptions = { log: silentLog, timeout: 20 };

describe('copying', () => {
  let folder: string;
  const path = (name: string): string => join(folder, name);
  const bytes = (name: string): Buffer => Buffer.from(`${folder}/${name}`);
  const host = new HostTestbed();
  const down = (from: string, to: string, options = OPTIONS): Promise<void> =>
    copyIn(host, bytes(from), bytes(to), options);
  const up = (from: string, to: string, options = OPTIONS): Promise<void> =>
    copyOut(host, bytes(from), bytes(to), options);
  const fails = (copy: Promise<void>, says: RegExp): Promise<void> =>
    assert.rejects(copy, (error) => {
      assert.ok(error instanceof CopyError, String(error));
      assert.match(error.message, says);
      return true;
    });

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  for (const [way, copy] of [
    ['down', down],
    ['up', up],
  ] as const) {
    describe(`of single files ${way}`, () => {
      it('keeps content and the executable bit, of empty files too', async () => {
        for (const [name, content, mode] of [
          ['plain', 'x'.repeat(300_000), 0o644],
          ['run', '#!/bin/sh\n', 0o755],
          ['empty', '', 0o644],
          ['empty-run', '', 0o700],
        ] as const) {
          writeFileSync(path(name), content, { mode });
          await copy(name, `${name}.copy`);
          assert.equal(readFileSync(path(`${name}.copy`), 'utf8'), content);
          assert.equal((statSync(path(`${name}.copy`)).mode & 0o111) !== 0, (mode & 0o111) !== 0, name);
        }
      });

      it('takes any name', async () => {
        const names = ['a b', 'new\nline\n', "it's", '"', '-n', '%s\\0101', '$(id)', '*'].map((name) =>
          Buffer.from(name),
        );
        names.push(Buffer.from([0xff, 0xc3, 0x0a]));
        for (const name of names) {
          const from = Buffer.concat([bytes(''), name]);
          const to = Buffer.concat([bytes('to '), name]);
          writeFileSync(from, name);
          await (way === 'down' ? copyIn : copyOut)(host, from, to, OPTIONS);
          assert.deepEqual(readFileSync(to), name);
        }
      });

      it('writes over a file that is there, through a link too, and leaves the link', async () => {
        writeFileSync(path('from'), 'new');
        writeFileSync(path('old'), 'old and longer', { mode: 0o600 });
        symlinkSync('old', path('link'));
        await copy('from', 'link');
        assert.equal(readFileSync(path('old'), 'utf8'), 'new');
        assert.equal(statSync(path('old')).mode & 0o777, 0o600);
        assert.ok(lstatSync(path('link')).isSymbolicLink());
      });

      it('says what cannot be read, and leaves no new file', async () => {
        await fails(copy('none', 'to'), /none.*(ENOENT|No such file|can't open|cannot open)/i);
        mkdirSync(path('directory'));
        await fails(copy('directory', 'to'), /needs a slash at the end/);
        assert.equal(existsSync(path('to')), false);
        writeFileSync(path('file'), 'x');
        await fails(copy('file', 'no/such/place'), /ENOENT|[Nn]o such|nonexistent|Directory/);
        await fails(copy('file', 'directory'), /directory/i);
      });
    });

    describe(`of directories ${way}`, () => {
      it('merges into one that is there, and takes mode and time of what came', async () => {
        mkdirSync(path('from'));
        mkdirSync(path('from/sub'), { mode: 0o750 });
        writeFileSync(path('from/sub/new'), 'new');
        writeFileSync(path('from/both'), 'from');
        symlinkSync('both', path('from/link'));
        chmodSync(path('from'), 0o711);
        mkdirSync(path('to'));
        mkdirSync(path('to/sub'));
        writeFileSync(path('to/sub/old'), 'old');
        writeFileSync(path('to/both'), 'to');
        writeFileSync(path('to/link'), 'in the way');
        await copy('from/', 'to/');
        assert.equal(readFileSync(path('to/sub/old'), 'utf8'), 'old');
        rmSync(path('to/sub/old'));
        execFileSync('touch', ['-r', path('from/sub'), path('to/sub')]);
        assert.deepEqual(describeTree(bytes('to')), describeTree(bytes('from')));
      });

      it('goes through a link that is the destination, and through none below it', async () => {
        mkdirSync(path('from'));
        mkdirSync(path('from/sub'));
        writeFileSync(path('from/sub/file'), 'x');
        mkdirSync(path('canary'));
        mkdirSync(path('real'));
        symlinkSync('../canary', path('real/sub'));
        symlinkSync('real', path('link'));
        await copy('from/', 'link/');
        assert.deepEqual(readdirSync(path('canary')), []);
        assert.ok(lstatSync(path('real/sub')).isDirectory());
        assert.deepEqual(describeTree(bytes('real')), describeTree(bytes('from')));
      });

      it('says what it cannot do', async () => {
        writeFileSync(path('file'), 'x');
        mkdirSync(path('from'));
        await fails(copy('none/', 'to/'), /none.*(ENOENT|can't cd|No such)/);
        assert.equal(existsSync(path('to')), false);
        await fails(copy('file/', 'to/'), /ENOTDIR|can't cd|not a directory/i);
        await fails(copy('from/', 'file/'), /ENOTDIR|not a directory|exists/i);
        await fails(copy('from/', 'no/such/place/'), /ENOENT|[Nn]o such/);
        symlinkSync('nowhere', path('dangling'));
        await fails(copy('from/', 'dangling/'), /ENOENT|exists/);
        assert.equal(readFileSync(path('file'), 'utf8'), 'x');
      });

      it('refuses a socket by its name', async () => {
        mkdirSync(path('from'));
        const socket = 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])';
        execFileSync('python3', ['-c', socket, path('from/talk')]);
        await fails(copy('from/', 'to/'), /socket.*talk/);
      });

      it('keeps attributes of the name space user', async function () {
        mkdirSync(path('from'));
        writeFileSync(path('from/file'), 'x');
        const set =
          'import os, sys; os.setxattr(sys.argv[1], "user.one", b"a\\0\\nb"); os.setxattr(sys.argv[2], "user.two", b"d")';
        try {
          execFileSync('python3', ['-c', set, path('from/file'), path('from')], { stdio: 'pipe' });
        } catch {
          skip(this, 'the file system for temporary files has none');
        }
        await copy('from/', 'to/');
        const get =
          'import os, sys; print(os.getxattr(sys.argv[1], "user.one"), os.getxattr(sys.argv[2], "user.two"))';
        assert.equal(
          execFileSync('python3', ['-c', get, path('to/file'), path('to')], { encoding: 'utf8' }),
          "b'a\\x00\\nb' b'd'\n",
        );
      });

      it('keeps times before 1970', async () => {
        mkdirSync(path('from'));
        writeFileSync(path('from/old'), '');
        execFileSync('touch', ['-d', '@-1.5', path('from/old')]);
        await copy('from/', 'to/');
        assert.equal(lstatSync(path('to/old'), { bigint: true }).mtimeNs, -1_500_000_000n);
      });
    });
  }

  it('takes back a file that was too long, and says when it was there before', async () => {
    writeFileSync(path('from'), 'x'.repeat(200_000));
    writeFileSync(path('old'), 'old');
    const options = { ...OPTIONS, maxBytes: 100_000 };
    await fails(up('from', 'to', options), /more than 100000 bytes/);
    assert.equal(existsSync(path('to')), false);
    await fails(up('from', 'old', options), /only a part of it now/);
    await up('from', 'to', { ...OPTIONS, maxBytes: 200_000 });
  });

  it('says that the destination is full', async () => {
    writeFileSync(path('from'), 'x'.repeat(200_000));
    const full = Buffer.from('/dev/full');
    await fails(copyOut(host, bytes('from'), full, OPTIONS), /writing on the host failed: No space left/);
    await fails(copyIn(host, bytes('from'), full, OPTIONS), /writing in the testbed failed: No space left/);
  });

  it('keeps the links of a file that is written over, and leaves it as it was when there is nothing to read', async () => {
    writeFileSync(path('old'), 'old and longer');
    linkSync(path('old'), path('other'));
    await fails(up('none', 'old'), /none.*(No such file|cannot open)/);
    assert.equal(readFileSync(path('other'), 'utf8'), 'old and longer');
    writeFileSync(path('from'), 'new');
    await up('from', 'old');
    assert.equal(readFileSync(path('other'), 'utf8'), 'new');
  });

  it('never replaces a directory with something in it', async () => {
    mkdirSync(path('from'));
    writeFileSync(path('from/name'), 'x');
    mkdirSync(path('to'));
    mkdirSync(path('to/name'));
    writeFileSync(path('to/name/mine'), 'mine');
    await fails(up('from/', 'to/'), /ENOTEMPTY|not empty/i);
    assert.deepEqual(readdirSync(path('to')), ['name']);
    rmSync(path('to/name/mine'));
    await up('from/', 'to/');
    assert.equal(readFileSync(path('to/name'), 'utf8'), 'x');
  });

  it('lends no process of the testbed a file of the host', async () => {
    const testbed = new HostTestbed();
    writeFileSync(path('from'), 'x');
    writeFileSync(path('old'), 'x');
    await copyIn(testbed, bytes('from'), bytes('inside'), OPTIONS);
    await copyOut(testbed, bytes('inside'), bytes('to'), OPTIONS);
    await copyOut(testbed, bytes('inside'), bytes('old'), OPTIONS);
    assert.equal(testbed.given.length, 3);
    assert.deepEqual(new Set(testbed.given.flat()), new Set(['ignore', 'pipe']));
  });

  /** A testbed whose shell is a script; its fourth argument is the path of the file. */
  const withShell = (script: string): HostTestbed => {
    mkdirSync(path('bin'), { recursive: true });
    writeFileSync(path('bin/shell'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    return new HostTestbed(undefined, path('bin/shell'));
  };
  const OPEN = 'exec 4<"$4"; printf - >&3; read -r _ <&3';

  it('lets a new file appear only when it is whole', async () => {
    execFileSync('mkfifo', [path('from')]);
    const slowly = `head -c 300000 /dev/zero; : >begun; until [ -e go ]; do sleep 0.01; done; echo end`;
    spawn('sh', ['-c', `exec >from; ${slowly}`], { stdio: 'ignore', cwd: folder });
    const copy = copyOut(withShell(OPEN), bytes('from'), bytes('to'), OPTIONS);
    const hidden = (): string[] => readdirSync(folder).filter((name) => name.startsWith('.'));
    while (!existsSync(path('begun'))) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(hidden().length, 1);
    assert.equal(existsSync(path('to')), false);
    writeFileSync(path('go'), '');
    await copy;
    assert.equal(statSync(path('to')).size, 300_004);
    assert.deepEqual(hidden(), []);
  });

  it('does not write over what somebody else has made meanwhile', async () => {
    writeFileSync(path('from'), 'theirs');
    const testbed = withShell(`${OPEN}; echo mine >'${path('to')}'`);
    await fails(copyOut(testbed, bytes('from'), bytes('to'), OPTIONS), /somebody else made/);
    assert.equal(readFileSync(path('to'), 'utf8'), 'mine\n');
    assert.deepEqual(readdirSync(folder).sort(), ['bin', 'from', 'to']);
  });

  it('leaves nothing of a file that cannot be read to its end, or is none', async () => {
    // Its first page is nobody's.
    const memory = copyOut(host, Buffer.from('/proc/self/mem'), bytes('to'), OPTIONS);
    await fails(memory, /reading in the testbed failed: Input\/output error/);
    execFileSync('mkfifo', [path('fifo')]);
    await fails(up('fifo', 'to'), /it is not a regular file/);
    await fails(copyOut(host, Buffer.from('/dev/zero'), bytes('to'), OPTIONS), /it is not a regular file/);
    assert.deepEqual(readdirSync(folder), ['fifo']);
  });

  it('touches nothing of a process of another testbed, whose pid it now is', async () => {
    const elsewhere = spawn('unshare', ['-Urpf', 'sh', '-c', 'echo up; exec sleep 60'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    try {
      await once(elsewhere.stdout, 'data');
      const [inside] = childrenOf(elsewhere.pid ?? 0);
      assert.ok(inside !== undefined);
      writeFileSync(path('from'), 'theirs');
      const testbed = withShell(OPEN);
      testbed.pid = inside;
      await fails(copyOut(testbed, bytes('from'), bytes('to'), OPTIONS), /closed the file/);
      assert.equal(existsSync(path('to')), false);
      writeFileSync(path('mine'), 'mine');
      await fails(copyIn(testbed, bytes('from'), bytes('mine'), OPTIONS), /closed the file/);
      assert.equal(readFileSync(path('mine'), 'utf8'), 'mine');
    } finally {
      for (const pid of childrenOf(elsewhere.pid ?? 0)) process.kill(pid, 'SIGKILL');
      await once(elsewhere, 'exit');
    }
  });

  for (const [what, script] of [
    ['says nothing', 'exit 0'],
    ['opens nothing', 'printf x >&3; read -r _ <&3'],
    ['is killed', 'exec 4<>"$4"; printf x >&3; kill -9 $$'],
    ['fails in the end', 'exec 4</dev/null; printf x >&3; read -r _ <&3; echo broken >&2; exit 1'],
    ['chatters', 'exec yes >&3'],
  ] as const) {
    it(`leaves nothing of a file when the shell of the testbed ${what}`, async () => {
      writeFileSync(path('old'), 'old');
      execFileSync('mkfifo', [path('from')]);
      const testbed = withShell(script);
      await fails(copyOut(testbed, bytes('from'), bytes('to'), OPTIONS), /./);
      assert.deepEqual(readdirSync(folder).sort(), ['bin', 'from', 'old']);
      for (const { child } of testbed.started)
        assert.ok(child.exitCode !== null || child.signalCode !== null);
    });
  }

  describe('with other tars', () => {
    const withTools = (...tools: string[]): HostTestbed => {
      mkdirSync(path('bin'));
      for (const tool of ['chmod', 'mkdir']) symlinkSync(`/bin/${tool}`, path(`bin/${tool}`));
      const busybox = execFileSync('sh', ['-c', 'command -v busybox'], { encoding: 'utf8' }).trim();
      for (const tool of tools) symlinkSync(busybox, path(`bin/${tool}`));
      return new HostTestbed(path('bin'));
    };
    const plainTree = (): void => {
      mkdirSync(path('from'));
      mkdirSync(path('from/sub'), { mode: 0o750 });
      writeFileSync(path('from/sub/run'), 'x', { mode: 0o755 });
      linkSync(path('from/sub/run'), path('from/again'));
      symlinkSync('l'.repeat(120), path('from/link'));
      writeFileSync(
        Buffer.concat([bytes('from/'), Buffer.from([0xff, 0x0a]), Buffer.alloc(150, 'n')]),
        'odd',
      );
      execFileSync('find', [path('from'), '-exec', 'touch', '-h', '-d', '@1000000000', '{}', '+']);
    };

    it('goes with busybox, both ways, but for fractions of a second and times where links are', async () => {
      const testbed = withTools('tar');
      plainTree();
      await copyIn(testbed, bytes('from/'), bytes('inside/'), OPTIONS);
      // It makes hard links when all else is done, and sets no time of a symbolic one.
      for (const name of ['link', 'sub', '.'])
        execFileSync('touch', ['-h', '-r', path('from/link'), path(`inside/${name}`)]);
      assert.deepEqual(describeTree(bytes('inside')), describeTree(bytes('from')));
      await copyOut(testbed, bytes('inside/'), bytes('back/'), OPTIONS);
      assert.deepEqual(describeTree(bytes('back')), describeTree(bytes('from')));
    });

    it('copies files without a tar and says what directories need', async () => {
      const testbed = withTools();
      plainTree();
      await copyIn(testbed, bytes('from/sub/run'), bytes('inside'), OPTIONS);
      await copyOut(testbed, bytes('inside'), bytes('back'), OPTIONS);
      assert.ok((statSync(path('back')).mode & 0o111) !== 0);
      await fails(copyIn(testbed, bytes('from/'), bytes('in/'), OPTIONS), /has no tar.*install/);
      await fails(copyOut(testbed, bytes('from/'), bytes('out/'), OPTIONS), /has no tar.*install/);
      assert.equal(existsSync(path('out')), false);
    });
  });

  describe('that takes too long', () => {
    /** Its tar does what the script says, and so does its shell when `shell` is true. */
    const stuck = (script: string, shell = false): HostTestbed => {
      mkdirSync(path('bin'), { recursive: true });
      for (const tool of ['tar', 'shell']) {
        writeFileSync(
          path(`bin/${tool}`),
          `#!/bin/sh\ncase "$*" in *"-T /dev/null"*) exit 0 ;; esac\n${script}\n`,
          { mode: 0o755 },
        );
      }
      return new HostTestbed(`${path('bin')}:${process.env.PATH}`, shell ? path('bin/shell') : undefined);
    };
    const times: CopyOptions = { ...OPTIONS, timeout: 0.5 };

    for (const [what, text] of [
      ['says nothing', 'exec sleep 1000'],
      ['ignores signals', 'trap "" TERM INT HUP; while :; do sleep 1000; done'],
      ['sends slowly without end', 'while :; do printf x; sleep 0.05; done'],
    ] as const) {
      it(`ends both ends of a testbed that ${what}`, async () => {
        const trees = stuck(text);
        const files = stuck(text, true);
        mkdirSync(path('from'));
        writeFileSync(path('from/file'), 'x'.repeat(3e6));
        await assert.rejects(copyOut(trees, bytes('from/'), bytes('to/'), times), CopyTimeoutError);
        await assert.rejects(copyIn(trees, bytes('from/'), bytes('to/'), times), CopyTimeoutError);
        await assert.rejects(copyOut(files, bytes('from/file'), bytes('one'), times), CopyTimeoutError);
        await assert.rejects(copyIn(files, bytes('from/file'), bytes('two'), times), CopyTimeoutError);
        assert.deepEqual([trees.started.length, files.started.length], [2, 4]);
        for (const { child } of [...trees.started, ...files.started])
          assert.equal(child.signalCode, 'SIGKILL');
        assert.equal(existsSync(path('one')), false);
        assert.deepEqual(
          readdirSync(folder).filter((name) => name.startsWith('.')),
          [],
        );
      });
    }

    it('ends what waits for a fifo', async () => {
      execFileSync('mkfifo', [path('fifo')]);
      writeFileSync(path('file'), 'x');
      const testbed = new HostTestbed();
      await assert.rejects(copyIn(testbed, bytes('file'), bytes('fifo'), times), CopyTimeoutError);
      for (const { child } of testbed.started) assert.equal(child.signalCode, 'SIGKILL');
      assert.deepEqual(readdirSync(folder).sort(), ['fifo', 'file']);
    });

    it('ends when its caller says so', async () => {
      const testbed = stuck('exec sleep 1000');
      mkdirSync(path('from'));
      const controller = new AbortController();
      const copy = copyOut(testbed, bytes('from/'), bytes('to/'), { ...OPTIONS, signal: controller.signal });
      controller.abort();
      await fails(copy, /broken off/);
    });
  });

  it('stays where it was when the destination is exchanged meanwhile', async () => {
    mkdirSync(path('bin'));
    mkdirSync(path('canary'));
    mkdirSync(path('to'));
    mkdirSync(path('to/sub'));
    mkdirSync(path('from'));
    mkdirSync(path('from/sub'));
    for (let i = 0; i < 50; i += 1) writeFileSync(path(`from/sub/${i}`), 'x');
    // While the archive is on its way, the directory it will be merged into becomes a link to the canary.
    const tar = `case "$*" in *"-T /dev/null"*) exit 0 ;; esac
mv '${path('to/sub')}' '${path('to/away')}'; ln -s ../canary '${path('to/sub')}'
mv '${path('to')}' '${path('moved')}'; ln -s canary '${path('to')}'
PATH=/usr/bin:/bin exec tar "$@"`;
    writeFileSync(path('bin/tar'), `#!/bin/sh\n${tar}\n`, { mode: 0o755 });
    const testbed = new HostTestbed(`${path('bin')}:${process.env.PATH}`);
    await copyOut(testbed, bytes('from/'), bytes('to/'), OPTIONS);
    assert.deepEqual(readdirSync(path('canary')), []);
    assert.deepEqual(readdirSync(path('moved')), ['away', 'sub']);
    assert.equal(readdirSync(path('moved/sub')).length, 50);
  });

  it('holds little of a large copy to a slow end', async () => {
    mkdirSync(path('bin'));
    mkdirSync(path('from'));
    // It needs no room on the disk, and is sent as data.
    writeFileSync(path('from/large'), '');
    truncateSync(path('from/large'), 1e9);
    writeFileSync(
      path('bin/tar'),
      `#!/bin/sh
case "$*" in *"-T /dev/null"*) exit 0 ;; *-x*) exec dd of=/dev/null bs=64k status=none ;; esac
export PATH=/usr/bin:/bin; exec tar -c -f - .
`,
      { mode: 0o755 },
    );
    const testbed = new HostTestbed(`${path('bin')}:${process.env.PATH}`);
    let most = 0;
    const before = process.memoryUsage().rss;
    const timer = setInterval(() => {
      most = Math.max(most, process.memoryUsage().rss);
    }, 5);
    try {
      await copyIn(testbed, bytes('from/'), bytes('to/'), OPTIONS);
      await copyIn(testbed, bytes('from/large'), Buffer.from('/dev/null'), OPTIONS);
      await copyOut(testbed, bytes('from/large'), Buffer.from('/dev/null'), OPTIONS);
    } finally {
      clearInterval(timer);
    }
    assert.ok(most > 0 && most - before < 100e6, `${(most - before) / 1e6} MB more`);
  });

  it('tells its progress and what it leaves behind', async () => {
    mkdirSync(path('from'));
    for (const name of ['a', 'b']) writeFileSync(path(`from/${name}`), 'x'.repeat(1000));
    const seen: [number, number][] = [];
    const warnings: string[] = [];
    const log: Log = { ...silentLog, warn: (message) => void warnings.push(message) };
    const options: CopyOptions = {
      ...OPTIONS,
      log,
      progress: (done, files) => void seen.push([done, files]),
    };
    await up('from/', 'to/', options);
    await down('from/', 'to2/', options);
    await up('from/a', 'one', options);
    assert.deepEqual(seen, [
      [2000, 3],
      [2000, 3],
      [1000, 1],
    ]);
    assert.deepEqual(warnings, []);
    renameSync(path('to'), path('to3'));
  });
});
