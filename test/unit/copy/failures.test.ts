/** What a copy that fails reports, and what it leaves behind of files, names and descriptors. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs, {
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { copyIn, copyOut } from '../../../src/copy/copy.ts';
import { withEnds } from '../../../src/copy/ends.ts';
import { isDirectoryInside } from '../../../src/copy/is-directory.ts';
import { OpenFile } from '../../../src/copy/open-file.ts';
import { CopyError } from '../../../src/errors.ts';
import { helperWords } from '../../../src/helper.ts';
import { fails, OPTIONS, useFolder } from './copying.ts';
import { HostTestbed } from './host-testbed.ts';

const openFiles = (): number => readdirSync('/proc/self/fd').length;

/** What a function of node:fs is while a test runs. */
function replaceDuring<Name extends 'linkSync' | 'openSync' | 'renameSync'>(
  name: Name,
  replacement: (typeof fs)[Name],
): () => void {
  const original = fs[name];
  fs[name] = replacement;
  syncBuiltinESMExports();
  return () => {
    fs[name] = original;
    syncBuiltinESMExports();
  };
}

describe('a copy that fails', () => {
  const { path, bytes, up, withTar, withShell } = useFolder();

  it('has the words of a shell that cannot look at a path', async () => {
    const looking = (status: number) =>
      isDirectoryInside(withShell(`echo broken >&2; exit ${status}`), path('from'), OPTIONS);
    await assert.rejects(looking(127), { name: 'CopyError', message: /^looking at .* failed: broken$/ });
    await assert.rejects(looking(255), { name: 'TestbedError', message: 'broken' });
  });

  it('has a remedy as a field where there is one, and takes no second complaint for it', async () => {
    writeFileSync(path('from'), 'x'.repeat(200_000));
    writeFileSync(path('old'), 'old');
    await assert.rejects(up('from', 'old', { ...OPTIONS, maxBytes: 100_000 }), (error) => {
      assert.ok(error instanceof CopyError);
      assert.equal(error.code, 'TOO_MANY_BYTES');
      assert.match(error.remedy ?? '', /maxCopyBytes/);
      assert.ok(error.message.endsWith(`only a part of it now; ${error.remedy}`), error.message);
      return true;
    });
    const twice = withTar('echo one complaint >&2; echo another complaint >&2; exit 3');
    mkdirSync(path('tree'));
    await assert.rejects(copyOut(twice, bytes('tree/'), bytes('to/'), OPTIONS), (error) => {
      assert.ok(error instanceof CopyError);
      assert.equal(error.remedy, undefined);
      assert.match(error.message, /one complaint; another complaint$/);
      return true;
    });
  });

  it('names the file of the host that may not be made executable', async () => {
    writeFileSync(path('from'), 'x', { mode: 0o755 });
    symlinkSync('/proc/self/comm', path('to'));
    await fails(up('from', 'to'), /cannot write to \S+to on the host: EPERM.*; name one that this user may/);
  });

  it('names the link of the host that leads to nothing', async () => {
    writeFileSync(path('from'), 'x');
    symlinkSync('nothing', path('to'));
    await fails(up('from', 'to'), /it is a link to a file that does not exist; remove the link first$/);
  });

  it('names its reason when the end of the shell is noticed before what it has sent', async () => {
    class Late extends HostTestbed {
      override async startMover(...words: Parameters<HostTestbed['startMover']>) {
        await this.started.at(-1)?.exited;
        return super.startMover(...words);
      }
    }
    const late = new Late();
    writeFileSync(path('from'), 'x');
    mkdirSync(path('directory'));
    await fails(copyIn(late, bytes('from'), bytes('directory'), OPTIONS), 'IS_A_DIRECTORY');
    await fails(copyIn(late, bytes('from'), bytes('none/to'), OPTIONS), 'NO_DIRECTORY');
    await fails(copyOut(late, bytes('directory'), bytes('to'), OPTIONS), 'IS_A_DIRECTORY');
    await fails(copyOut(late, bytes('none'), bytes('to'), OPTIONS), /No such file/);
  });

  it('is none when all was copied as its time was over', () =>
    withEnds('copying', { timeout: 0.001 }, () => new Promise((resolve) => setTimeout(resolve, 20))));

  it('does not come from the count of what is copied', () => {
    writeFileSync(path('file'), 'x');
    const open = new OpenFile(openSync(path('file'), 'r'), 'read');
    readFileSync(open.file);
    assert.equal(open.copied, 1);
    open.close();
    assert.equal(open.copied, 1, 'of a file that /proc does not show');
  });

  it('never replaces a file that another process makes in the last moment', async () => {
    writeFileSync(path('from'), 'from the testbed');
    const [link, rename] = [fs.linkSync, fs.renameSync];
    const makeOther = (target: fs.PathLike): void => {
      if (!existsSync(target)) writeFileSync(target, 'of another process');
    };
    const restore = [
      replaceDuring('linkSync', (from, to) => {
        makeOther(to);
        link(from, to);
      }),
      replaceDuring('renameSync', (from, to) => {
        makeOther(to);
        rename(from, to);
      }),
    ];
    try {
      await fails(up('from', 'to'), 'TARGET_EXISTS');
    } finally {
      for (const act of restore) act();
    }
    assert.equal(readFileSync(path('to'), 'utf8'), 'of another process');
    assert.deepEqual(readdirSync(path('')).sort(), ['from', 'to']);
  });

  it('gives a new file its name on a file system without hard links too', async () => {
    writeFileSync(path('from'), 'x');
    const restore = replaceDuring('linkSync', () => {
      throw Object.assign(new Error('EPERM: operation not permitted'), { code: 'EPERM' });
    });
    try {
      await up('from', 'to');
    } finally {
      restore();
    }
    assert.deepEqual(readdirSync(path('')).sort(), ['from', 'to']);
    assert.equal(readFileSync(path('to'), 'utf8'), 'x');
  });

  it('writes nothing through a link for which a directory is exchanged in the last moment', async () => {
    for (const name of ['from/sub', 'to/sub', 'canary']) mkdirSync(path(name), { recursive: true });
    writeFileSync(path('from/sub/file'), 'x');
    const open = fs.openSync;
    let exchanged = 0;
    const restore = replaceDuring('openSync', (file, flags, mode) => {
      // Seen to be a directory, and about to be merged into.
      if (/^\/proc\/self\/fd\/\d+\/sub$/.test(String(file))) {
        exchanged += 1;
        fs.renameSync(path('to/sub'), path('aside'));
        symlinkSync(path('canary'), path('to/sub'));
      }
      return open(file, flags, mode);
    });
    try {
      await fails(up('from/', 'to/'), 'CANNOT_WRITE');
    } finally {
      restore();
    }
    assert.equal(exchanged, 1);
    assert.deepEqual(readdirSync(path('canary')), []);
  });

  it('leaves no descriptor open, nor a directory, when its staging directory is not as it was made', async () => {
    mkdirSync(path('from'));
    await fails(up('from/', 'nowhere/to/'), 'CANNOT_WRITE');
    const before = openFiles();
    // With this mask the directory gets another mode than it was made with, as an exchanged one may have.
    const mask = process.umask(0o200);
    try {
      for (let i = 0; i < 20; i += 1) await fails(up('from/', 'to/'), 'EXCHANGED');
    } finally {
      process.umask(mask);
    }
    while (openFiles() > before) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.deepEqual(readdirSync(path('')), ['from']);
  });

  it('has its tree removed, with closed directories in it, when the server is gone', async () => {
    mkdirSync(path('staging/t/closed/deeper'), { recursive: true });
    mkdirSync(path('other'));
    writeFileSync(path('other/file'), 'x');
    writeFileSync(path('staging/t/closed/file'), 'x');
    symlinkSync(path('other'), path('staging/t/link'));
    fs.chmodSync(path('staging/t/closed/deeper'), 0);
    fs.chmodSync(path('staging/t/closed'), 0);
    const directory = fs.openSync(path(''), 'r');
    const [program, ...args] = helperWords('unstage', 'staging');
    const guard = spawn(program, args, { stdio: ['pipe', 'ignore', 'ignore', directory] });
    fs.closeSync(directory);
    assert.ok(guard.stdin !== null);
    guard.stdin.end();
    await once(guard, 'exit');
    assert.deepEqual(readdirSync(path('')), ['other']);
    assert.equal(readFileSync(path('other/file'), 'utf8'), 'x');
  });
});
