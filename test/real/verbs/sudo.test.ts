import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { call, PROGRAM } from '../../support/program.ts';
import { projectDir } from '../../support/rootfs.ts';

// As sudo(8) leaves it: root, with the caller in the environment. Only root can become another user.
const USER = 'vtu-test';
const asRoot = process.getuid?.() === 0;

/** The program where that user can read it: in its copy of the project, made by scripts/make-test-user. */
async function program(): Promise<string> {
  const { stdout, status } = await call([`${projectDir}scripts/as-test-user`, 'pwd'], { cwd: projectDir });
  return status === 0 ? `${stdout.trim()}/bin/virt-ts-unshare` : PROGRAM;
}

/** The tests' small root filesystem as that user has it. */
async function theirTarball(): Promise<string> {
  const { stdout } = await call([`${projectDir}scripts/as-test-user`, 'scripts/rootfs-path', 'small'], {
    cwd: projectDir,
  });
  return stdout.trim();
}

function viaSudo(...words: string[]) {
  return viaSudoIn('/', ...words);
}

async function viaSudoIn(cwd: string, ...words: string[]) {
  const id = async (option: string) => (await call(['id', option, USER])).stdout.trim();
  const [uid, gid] = await Promise.all([id('-u'), id('-g')]);
  const env = { SUDO_UID: uid, SUDO_GID: gid, SUDO_USER: USER };
  return { uid, gid, ...(await call([process.execPath, await program(), ...words], { env, cwd })) };
}

if (asRoot)
  describe('started through sudo', function () {
    this.timeout(60_000);

    it('becomes the user who called it, with groups and home', async () => {
      const script = 'id -u; id -g; id -G; echo $HOME $USER';
      const { uid, gid, stdout, stderr } = await viaSudo('run', '--host', '--', 'sh', '-c', script);
      const home = (await call(['getent', 'passwd', USER])).stdout.split(':')[5];
      const groups = (await call(['id', '-G', USER])).stdout.trim().split(' ').length;
      const [one, two, all = '', environment] = stdout.split('\n');
      assert.deepEqual([one, two, environment, stderr], [uid, gid, `${home} ${USER}`, '']);
      assert.equal(all.split(' ').length, groups);
    });

    it('stays root with --stay-root', async () => {
      const { stdout } = await viaSudo('run', '--stay-root', '--host', '--', 'sh', '-c', 'id -u; echo $HOME');
      assert.equal(stdout, `0\n${userInfo().homedir}\n`);
    });

    it('does not take the word from the command', async () => {
      const { uid, stdout } = await viaSudo(
        'run',
        '--host',
        '--',
        'sh',
        '-c',
        'id -u; echo $1',
        'sh',
        '--stay-root',
      );
      assert.equal(stdout, `${uid}\n--stay-root\n`);
    });

    it('finds that the server works for that user', async () => {
      const { stdout, status } = await viaSudo('doctor');
      assert.match(stdout, /The server will work/);
      assert.equal(status, 0);
    });

    it('does so from a folder that only root can enter', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
      try {
        const words = ['run', '-t', await theirTarball(), '--', 'id', '-u'];
        for (const each of [['doctor'], ['rootfs', 'list'], words]) {
          const { stderr, status } = await viaSudoIn(folder, ...each);
          assert.deepEqual([stderr, status], ['', 0], each.join(' '));
        }
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  });
