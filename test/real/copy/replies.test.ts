/** Replies and stderr of the built program for copies that a testbed makes fail. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { waitUntil } from '../../../src/wait.ts';
import { testTarball } from '../../support/rootfs.ts';
import { Server } from '../../support/server.ts';
import { archive, raw } from '../../unit/archive/archives.ts';

describe('replies to copies', function () {
  this.timeout(60_000);

  it('are copy-failed for a hostile archive, timeout for a stuck tar, and ok again afterwards', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
    const server = Server.start({
      argv: ['-t', testTarball()],
      env: { AUTOPKGTEST_VIRT_COPY_TIMEOUT: '3' },
    });
    try {
      mkdirSync(`${folder}/source`);
      mkdirSync(`${folder}/to`);
      writeFileSync(`${folder}/source/file`, 'content');
      writeFileSync(`${folder}/archive`, archive(raw({ name: '../escaped', data: 'x' })));
      const is = (script: string): void =>
        writeFileSync(
          `${folder}/tar`,
          `#!/bin/sh\ncase "$*" in *"-T /dev/null"*) exit 0 ;; esac\n${script}\n`,
          { mode: 0o755 },
        );
      const replyTo = async (line: string): Promise<string | undefined> => {
        server.send(line);
        return server.reply();
      };
      assert.equal(await server.reply(), 'ok');
      const [scratch] = await server.ask('open');
      await server.ask(`copydown ${folder}/source/ ${scratch}/tree/`);
      await server.ask(`copydown ${folder}/archive ${scratch}/archive`);

      is(`exec cat ${scratch}/archive`);
      await server.ask(`copydown ${folder}/tar /usr/local/bin/tar`);
      assert.equal(await replyTo(`copyup ${scratch}/tree/ ${folder}/to/back/`), 'copy-failed');
      assert.match(
        server.complaints,
        /\.\.\/escaped from the testbed is refused: its name has a part .., which leads upwards/,
      );

      is('exec sleep 1000');
      await server.ask(`copydown ${folder}/tar /usr/local/bin/tar`);
      assert.equal(await replyTo(`copyup ${scratch}/tree/ ${folder}/to/back/`), 'timeout');
      assert.equal(await replyTo(`copydown ${folder}/source/ ${scratch}/other/`), 'timeout');
      assert.match(server.complaints, /took longer than 3 s/);
      assert.deepEqual(readdirSync(`${folder}/to`), []);

      is('exec /bin/tar "$@"');
      await server.ask(`copydown ${folder}/tar /usr/local/bin/tar`);
      await server.ask(`copyup ${scratch}/tree/ ${folder}/to/back/`);
      assert.deepEqual(readdirSync(`${folder}/to/back`), ['file']);
      await server.ask('quit');
      assert.equal(await server.ended, 0);
      await server.reaped;
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('leave no part of a file on the host when the server is killed', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
    const to = join(folder, 'to');
    const server = Server.start({ argv: ['-t', testTarball()] });
    try {
      mkdirSync(to);
      assert.equal(await server.reply(), 'ok');
      const [scratch] = await server.ask('open');
      // It takes no room there, and a while here.
      await server.ask(`command truncate,-s,30G,${scratch}/large`);
      server.send(`copyup ${scratch}/large ${to}/file`);
      const written = (): number =>
        readdirSync(to).reduce((sum, name) => sum + statSync(join(to, name)).size, 0);
      while (written() < 4_000_000) await delay(5);
      await server.kill('SIGKILL');
      assert.deepEqual(await server.leftAfter(5000), []);
      assert.deepEqual(readdirSync(to), []);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('leave no program of the host that is stopped when the server is ended', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
    const tar = '#!/bin/sh\ncase "$*" in *-x*) cat >/dev/null; kill -STOP $$ ;; esac\nexec /bin/tar "$@"\n';
    mkdirSync(join(folder, 'programs'));
    writeFileSync(join(folder, 'programs/tar'), tar, { mode: 0o755 });
    const env = { PATH: `${folder}/programs:${process.env.PATH}` };
    const server = Server.start({ argv: ['-t', testTarball()], env });
    try {
      assert.equal(await server.reply(), 'ok');
      const [scratch] = await server.ask('open');
      await server.ask(`command mkdir,${scratch}/tree`);
      server.send(`copyup ${scratch}/tree/ ${folder}/tree/`);
      assert.ok(await waitUntil(() => server.running().some((line) => / T .*tar -x/.test(line)), 10_000));
      await server.kill('SIGTERM');
      assert.deepEqual(await server.leftAfter(5000), []);
      assert.deepEqual(readdirSync(folder), ['programs']);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
