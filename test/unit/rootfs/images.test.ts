import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TestbedError, UsageError } from '../../../src/errors.ts';
import { silentLog } from '../../../src/log.ts';
import { childrenOf } from '../../../src/processes/list.ts';
import { processState } from '../../../src/processes/stat.ts';
import { provideRoot, rebuildRoot } from '../../../src/rootfs/build.ts';
import { type CacheFolder, openCache } from '../../../src/rootfs/cache.ts';
import { importImage, listImages, removeImage } from '../../../src/rootfs/images.ts';
import { waitLock } from '../../../src/rootfs/lock.ts';
import type { RootOrder } from '../../../src/rootfs/order.ts';
import { NO_LIMITS, prune } from '../../../src/rootfs/prune.ts';
import { chooseRoot } from '../../../src/rootfs/source.ts';
import { readDifferences } from '../../../src/rootfs/verify.ts';
import { fakeHolder } from '../../support/fake-holder.ts';

describe('images', () => {
  let folder: string;
  let cache: CacheFolder;
  let tree: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'vtu-images-'));
    cache = openCache({ XDG_CACHE_HOME: folder });
    tree = join(folder, 'tree');
    mkdirSync(join(tree, 'bin'), { recursive: true });
    writeFileSync(join(tree, 'bin/sh'), '#!/nothing\n', { mode: 0o755 });
    symlinkSync('/etc', join(tree, 'link'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** An order whose command is a script; it gets --arch=ARCH, release, target and mirror as arguments. */
  function order(script: string, mirror?: string): RootOrder {
    const path = join(folder, 'strap');
    writeFileSync(path, `#!/bin/sh\nset -e\n${script}\n`, { mode: 0o755 });
    const bootstrapCommand = `${path} 'a word'`;
    const names = { release: 'sid', arch: 'amd64', archGiven: true };
    return { kind: 'build', ...names, mirror, bootstrapCommand, packages: [] };
  }
  const works = 'cd "$(dirname "$0")"; echo "$@" >>calls; tar -cf "$4" -C tree .';
  const calls = () => readFileSync(join(folder, 'calls'), 'utf8').trimEnd().split('\n');

  it('are built by the command of the order, once for two requests at the same time, and found again', async () => {
    const wanted = order(works, 'http://mirror.example');
    const sources = await Promise.all([1, 2].map(() => provideRoot(wanted, cache, silentLog)));
    const path = join(cache.images, 'sid-amd64.tar');
    assert.deepEqual(sources, [
      { kind: 'tarball', path },
      { kind: 'tarball', path },
    ]);
    assert.equal(calls().length, 1);
    assert.match(calls()[0] ?? '', /^a word --arch=amd64 sid .*\.tar http:\/\/mirror\.example$/);
    const options = { release: 'sid', arch: 'amd64' };
    assert.deepEqual(chooseRoot(options, { XDG_CACHE_HOME: folder }), { kind: 'tarball', path });
    assert.deepEqual(readdirSync(cache.locks), []);
  });

  it('are built again by the same order', async () => {
    await provideRoot(order(works), cache, silentLog);
    const [image] = listImages(cache);
    assert(image?.order !== undefined);
    assert.equal(image.name, 'sid-amd64');
    await rebuildRoot(image.order, cache, silentLog);
    assert.equal(calls().length, 2);
    assert.equal(listImages(cache).length, 1);
  });

  it('are made again for another mirror or command', async () => {
    const first = order(works, 'http://one.example');
    await provideRoot(first, cache, silentLog);
    const choose = (options: { mirror?: string; bootstrapcmd?: string }) =>
      chooseRoot({ release: 'sid', arch: 'amd64', ...options }, { ...process.env, XDG_CACHE_HOME: folder });
    const bootstrapcmd = first.bootstrapCommand ?? '';
    assert.equal(choose({}).kind, 'tarball');
    assert.equal(choose({ mirror: 'http://one.example', bootstrapcmd }).kind, 'tarball');
    assert.equal(choose({ bootstrapcmd: 'true' }).kind, 'build');
    const other = choose({ mirror: 'http://two.example', bootstrapcmd });
    assert.ok(other.kind === 'build');
    await Promise.all([1, 2].map(() => provideRoot(other, cache, silentLog)));
    assert.deepEqual(
      calls().map((line) => line.split(' ').at(-1)),
      ['http://one.example', 'http://two.example'],
    );
    assert.equal(listImages(cache).length, 1);
    await importImage(cache, tree, 'sid-amd64', silentLog);
    assert.equal(choose({ mirror: 'http://one.example' }).kind, 'tarball', 'an imported one serves all');
  });

  it('that mmdebstrap made without a package that it puts in today are made again', async () => {
    // What mmdebstrap would be, found on PATH; its target is behind the release and before the mirror.
    const script =
      'cd "$(dirname "$0")"; echo "$@" >>calls; for word; do case $word in *.tar*) tar -cf "$word" -C tree .; esac; done';
    writeFileSync(join(folder, 'mmdebstrap'), `#!/bin/sh\nset -e\n${script}\n`, { mode: 0o755 });
    const { PATH } = process.env;
    process.env.PATH = `${folder}:${PATH}`;
    try {
      const choose = () =>
        chooseRoot(
          { release: 'sid', arch: 'amd64', mirror: 'http://mirror.example' },
          { ...process.env, XDG_CACHE_HOME: folder },
        );
      const first = choose();
      assert.ok(first.kind === 'build');
      assert.deepEqual(first.packages, ['passwd']);
      const { path } = await provideRoot(first, cache, silentLog);
      assert.match(calls()[0] ?? '', / --include=passwd /);
      assert.deepEqual(choose(), { kind: 'tarball', path });
      // As it was written down before there were any.
      const { packages: _, ...without } = first;
      writeFileSync(join(cache.images, 'sid-amd64.json'), JSON.stringify(without));
      assert.deepEqual(choose(), first);
      await provideRoot(first, cache, silentLog);
      assert.deepEqual([choose(), calls().length], [{ kind: 'tarball', path }, 2]);
    } finally {
      process.env.PATH = PATH;
    }
  });

  it('are not there after a build that failed, and the old one stays', async () => {
    await provideRoot(order(works), cache, silentLog);
    for (const [script, words] of [
      [
        'echo half >"$4"; echo one >&2; printf "E: no \\033such suite\\nE: run it again\\nbye" >&2; exit 25',
        /status 25: E: no \?such suite; give/,
      ],
      ['echo first >&2; echo last >&2; exit 1', /status 1: last; give/],
      ['printf "%01000d" 0 >&2; exit 1', /status 1: 0{160}…; give/],
      // As mmdebstrap does it when the disk is full: this process is not to get it.
      ['kill -HUP 0; sleep 10', /status 129; give/],
      ['exit 3', /status 3; give/],
      ['true', /made no tarball/],
      ['echo text >"$4"', /made no tarball/],
    ] as const) {
      await assert.rejects(rebuildRoot(order(script), cache, silentLog), (error) => {
        assert(error instanceof TestbedError);
        assert.match(error.message, words);
        return true;
      });
      assert.deepEqual(readdirSync(cache.images).sort(), ['sid-amd64.json', 'sid-amd64.tar']);
    }
  });

  it('are given up when the server ends', async () => {
    const ending = new AbortController();
    const fifo = join(folder, 'started');
    execFileSync('mkfifo', [fifo]);
    const building = provideRoot(
      // A child that outlives the command would hold its stderr open.
      order(`sleep 1000 & echo x >'${fifo}'; exec sleep 1000`),
      cache,
      silentLog,
      ending.signal,
    );
    building.catch(() => {});
    assert.equal(await readFile(fifo, 'utf8'), 'x\n');
    ending.abort();
    await assert.rejects(building, { name: 'AbortError' });
    assert.deepEqual(readdirSync(cache.images), []);
  });

  it('are not locked for ever when the server ends as the lock is taken', async () => {
    const ending = new AbortController();
    const others = childrenOf(process.pid);
    const building = provideRoot(order(works), cache, silentLog, ending.signal);
    building.catch(() => {});
    const [flock] = childrenOf(process.pid).filter((pid) => !others.includes(pid));
    assert(flock !== undefined);
    // It has the lock now, which this process sees only at its next event.
    while (processState(flock)?.state !== 'Z');
    ending.abort();
    await assert.rejects(building, { name: 'AbortError' });
    assert.deepEqual(readdirSync(cache.locks), []);
  });

  it('that another process makes are waited for until the caller ends', async () => {
    const lock = await waitLock(join(cache.locks, 'image-sid-amd64'), silentLog);
    const ending = new AbortController();
    const removing = removeImage(cache, 'sid-amd64', silentLog, ending.signal);
    removing.catch(() => {});
    const layers = await waitLock(join(cache.locks, 'layers'), silentLog);
    const pruning = prune(cache, fakeHolder, silentLog, NO_LIMITS, ending.signal);
    pruning.catch(() => {});
    ending.abort();
    await assert.rejects(removing, { name: 'AbortError' });
    await assert.rejects(pruning, { name: 'AbortError' });
    layers.release();
    lock.release();
  });

  it('are listed without links to nothing', async () => {
    await provideRoot(order(works), cache, silentLog);
    symlinkSync('/nothing', join(cache.images, 'gone-amd64.tar'));
    assert.deepEqual(
      listImages(cache).map(({ name }) => name),
      ['sid-amd64'],
    );
  });

  it('report what they wait for when the command does not end', async () => {
    const [started, go] = [join(folder, 'started'), join(folder, 'go')];
    execFileSync('mkfifo', [started, go]);
    const ending = new AbortController();
    let warn = (_: string) => {};
    const warned = new Promise<string>((resolve) => {
      warn = resolve;
    });
    const building = provideRoot(
      order(`trap '' TERM; echo x >'${started}'; read -r go <'${go}'`),
      cache,
      { ...silentLog, warn },
      ending.signal,
    );
    building.catch(() => {});
    assert.equal(await readFile(started, 'utf8'), 'x\n');
    ending.abort();
    assert.match(await warned, /^waiting for the end of .*strap, which is killed after 30 s$/);
    writeFileSync(go, '\n');
    await assert.rejects(building, { name: 'AbortError' });
    assert.deepEqual(readdirSync(cache.images), []);
  });

  it('can be imported from a tarball, named by what it is', async () => {
    const tarball = join(folder, 'odd-name');
    execFileSync('tar', ['-czf', tarball, '-C', tree, '.']);
    const path = await importImage(cache, tarball, 'sid-amd64', silentLog);
    assert.equal(path, join(cache.images, 'sid-amd64.tar.gz'));
    assert.deepEqual(readFileSync(path), readFileSync(tarball));
    assert.equal(listImages(cache)[0]?.order, undefined);
  });

  it('can be imported from a folder, and take the place of one that was built', async () => {
    await provideRoot(order(works), cache, silentLog);
    const path = await importImage(cache, tree, 'sid-amd64', silentLog);
    assert.deepEqual(
      listImages(cache).map((image) => image.path),
      [path],
    );
    assert.equal(existsSync(join(cache.images, 'sid-amd64.json')), false);
    const list = execFileSync('tar', ['-tvf', path], { encoding: 'utf8' });
    assert.match(list, /-rwxr-xr-x \S+\s+\d+ \S+ \S+ \.\/bin\/sh\n/);
    assert.match(list, /\.\/link -> \/etc\n/);
    await assert.rejects(importImage(cache, folder, 'x', silentLog), UsageError);
    await assert.rejects(importImage(cache, join(folder, 'none'), 'x', silentLog), UsageError);
  });

  it('that are packed of a folder in use are refused with the remedy', async () => {
    const programs = join(folder, 'programs');
    mkdirSync(programs);
    const tar = '#!/bin/sh\necho "tar: ./log: file changed as we read it" >&2\nexit 1\n';
    writeFileSync(join(programs, 'tar'), tar, { mode: 0o755 });
    const { PATH } = process.env;
    process.env.PATH = `${programs}:${PATH}`;
    try {
      const importing = importImage(cache, tree, 'sid-amd64', silentLog);
      await assert.rejects(importing, { code: 'IMPORT_FAILED', remedy: /while no process writes/ });
    } finally {
      process.env.PATH = PATH;
    }
  });

  it('can be removed', async () => {
    await provideRoot(order(works), cache, silentLog);
    assert.equal(await removeImage(cache, 'sid-amd64', silentLog), true);
    assert.equal(await removeImage(cache, 'sid-amd64', silentLog), false);
    assert.deepEqual(readdirSync(cache.images), []);
  });
});

describe("tar's differences", () => {
  const words = [
    './a: Uid differs',
    './b: Gid differs',
    './c: Contents differ',
    'tar: ./srv/node: Warning: Cannot stat: No such file or directory',
    'tar: ./d: Warning: Cannot stat: No such file or directory',
    'tar: Exiting with failure status due to previous errors',
    '',
  ].join('\n');

  it('leave out device nodes that were left out', () => {
    assert.deepEqual(readDifferences(words, ['./srv/node'], false), [
      './a: Uid differs',
      './b: Gid differs',
      './c: Contents differ',
      'tar: ./d: Warning: Cannot stat: No such file or directory',
    ]);
  });

  it('leave out owners where there is only one id', () => {
    assert.deepEqual(readDifferences(words, [], true), [
      './c: Contents differ',
      'tar: ./srv/node: Warning: Cannot stat: No such file or directory',
      'tar: ./d: Warning: Cannot stat: No such file or directory',
    ]);
  });
});
