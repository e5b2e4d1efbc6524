/** Images that skopeo and umoci have made, against what umoci unpacks of them, and as testbeds. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PROGRAM, virt } from '../../support/program.ts';
import { testTarball } from '../../support/rootfs.ts';
import { layeredImage, skopeo, umoci } from '../../support/skopeo.ts';

describe('images of containers', function () {
  this.timeout('3m');
  const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
  const env = { XDG_CACHE_HOME: join(folder, 'cache') };
  const path = (name: string): string => join(folder, name);
  after(async () => {
    await virt(['rootfs', 'prune', '--all'], { env });
    rmSync(folder, { recursive: true, force: true });
  });

  async function imported(file: string, name: string): Promise<string> {
    const { status, stdout, stderr } = await virt(['rootfs', 'import', file, name], { env });
    assert.deepEqual([status, stderr], [0, '']);
    return stdout.trim();
  }

  function contentOf(tarball: string): Buffer {
    return tarball.endsWith('.zst')
      ? execFileSync('zstd', ['-d', '-c', tarball], { maxBuffer: 1e9 })
      : readFileSync(tarball);
  }

  /** Each file with its kind, mode, owner, links, size, time, target and content; of directories all but size and time. */
  function treeOf(directory: string): string[] {
    const format = [
      '-type',
      'd',
      '-printf',
      '%P %m %U:%G\\n',
      '-o',
      '-printf',
      '%P %y %m %U:%G %n %s %T@ %l\\n',
    ];
    const found = execFileSync('find', ['.', ...format], { cwd: directory, encoding: 'utf8' });
    const sums = execFileSync('sh', ['-c', 'find . -type f -exec sha256sum {} +'], {
      cwd: directory,
      encoding: 'utf8',
    });
    return [...found.split('\n'), ...sums.split('\n')].sort();
  }

  it('have the tree that umoci unpacks, through many layers', async () => {
    const layout = path('small');
    execFileSync('umoci', ['init', '--layout', layout]);
    umoci('new', `${layout}:x`);
    const bundle = path('bundle');
    umoci('unpack', `${layout}:x`, bundle);
    const root = join(bundle, 'rootfs');
    const repack = (change: () => void): void => {
      change();
      umoci('repack', `${layout}:x`, '--refresh-bundle', bundle);
    };
    const write = (name: string, text: string): void => writeFileSync(join(root, name), text);
    repack(() => {
      for (const name of ['bin', 'lib', 'lib/deep', 'lib/deep/er', 'gone', 'again'])
        mkdirSync(join(root, name));
      write('bin/sh', '#!/nothing\n');
      chmodSync(join(root, 'bin/sh'), 0o755);
      for (const name of ['a', 'lib/deep/er/b', 'gone/c', 'again/d']) write(name, name);
      linkSync(join(root, 'a'), join(root, 'hard'));
      symlinkSync('lib/deep', join(root, 'link'));
      symlinkSync('/nowhere', join(root, 'dangling'));
    });
    repack(() => {
      rmSync(join(root, 'gone'), { recursive: true });
      rmSync(join(root, 'again'), { recursive: true });
      rmSync(join(root, 'link'));
      mkdirSync(join(root, 'link'));
      write('link/file', 'in place of a link');
      write('a', 'both names change');
    });
    repack(() => {
      mkdirSync(join(root, 'again'));
      write('again/e', 'new');
      rmSync(join(root, 'a'));
      write('a', 'only one name');
      chmodSync(join(root, 'lib/deep'), 0o1750);
      rmSync(join(root, 'lib/deep/er/b'));
      write('größe', 'name');
    });
    const wanted = path('wanted');
    umoci('unpack', `${layout}:x`, wanted);
    const got = path('got');
    mkdirSync(got);
    const content = contentOf(await imported(layout, 'tree'));
    execFileSync('tar', ['-x', '--same-permissions', '--delay-directory-restore', '-C', got], {
      input: content,
    });
    const piped = execFileSync(process.execPath, [PROGRAM, 'rootfs', 'import', '-', 'piped'], {
      env: { ...process.env, ...env },
      input: execFileSync('tar', ['-c', '-z', '-C', layout, '.']),
      encoding: 'utf8',
    });
    assert.ok(contentOf(piped.trim()).equals(content));
    assert.deepEqual(treeOf(got), treeOf(join(wanted, 'rootfs')));
  });

  it('are the same in every form, and testbeds have their files and environment', async () => {
    const layout = layeredImage(folder, testTarball());
    skopeo(`oci:${layout}:made`, `oci-archive:${path('oci.tar')}`);
    skopeo(`oci:${layout}:made`, `docker-archive:${path('docker.tar')}:debian:made`);
    skopeo(`oci:${layout}:made`, `oci:${path('zstd')}:made`, '--dest-compress-format', 'zstd');
    const sums = new Set<string>();
    for (const form of ['layout:made', 'oci.tar', 'docker.tar', 'docker.tar:debian:made', 'zstd']) {
      const tarball = await imported(path(form), 'form');
      sums.add(createHash('sha256').update(contentOf(tarball)).digest('hex'));
    }
    assert.equal(sums.size, 1);
    const script =
      'of-the-image; echo "$PATH"; ls -d /etc/issue /usr/share/doc /etc/issue.net; ls -A /var/log; stat -c %a:%U:%G /usr/bin/passwd /etc/shadow';
    const run = await virt(['run', '--release', 'form', '--', 'sh', '-c', script], { env });
    const shadow = execFileSync('tar', ['-t', '-v', '-f', testTarball(), './etc/shadow'], {
      encoding: 'utf8',
    });
    assert.match(shadow, /^-rw-r----- (root\/shadow|0\/42) /);
    const [image, search, net, logs, passwd, owner] = run.stdout.trim().split('\n');
    assert.deepEqual(
      [image, net, logs, passwd],
      ['image: a value', '/etc/issue.net', 'bin', '4755:root:root'],
    );
    assert.match(search ?? '', /^\/opt\/added\/bin:/);
    assert.match(owner ?? '', /^640:root:(shadow|root)$/);
    assert.match(run.stderr, /'\/etc\/issue': No such file.*\n.*'\/usr\/share\/doc': No such file/);
  });

  it('that are refused change nothing, and the message has the remedy', async () => {
    const before = (await virt(['rootfs', 'list', '--json'], { env })).stdout;
    skopeo(`oci:${path('layout')}:made`, `dir:${path('dir')}`);
    const refused = await virt(['rootfs', 'import', path('dir'), 'form'], { env });
    assert.equal(refused.status, 2);
    assert.match(refused.stderr, /format dir: of skopeo; convert it by skopeo copy dir:… oci:…\n$/);
    const other = await virt(['rootfs', 'import', '--arch=riscv64', path('oci.tar'), 'form'], { env });
    assert.equal(other.status, 2);
    assert.match(other.stderr, /is for linux\/\w+, not for riscv64; give --arch=\w+/);
    assert.equal((await virt(['rootfs', 'list', '--json'], { env })).stdout, before);
  });
});
