import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { processTree, untilGone } from '../../support/processes.ts';
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

/** Node's options, which make the other kind of Node. */
let nodeOptions = '';

async function sudoEnvironment() {
  const id = async (option: string) => (await call(['id', option, USER])).stdout.trim();
  const [uid, gid] = await Promise.all([id('-u'), id('-g')]);
  return { SUDO_UID: uid, SUDO_GID: gid, SUDO_USER: USER, NODE_OPTIONS: nodeOptions };
}

async function viaSudoIn(cwd: string, ...words: string[]) {
  const env = await sudoEnvironment();
  const { SUDO_UID: uid, SUDO_GID: gid } = env;
  return { uid, gid, ...(await call([process.execPath, await program(), ...words], { env, cwd })) };
}

const KINDS = {
  'started through sudo': [],
  'started through sudo, by a Node that does not change its user': ['test/support/no-initgroups.cjs'],
} as const;

for (const [kind, [loaded]] of asRoot ? Object.entries(KINDS) : [])
  describe(kind, function () {
    this.timeout(60_000);

    before(async () => {
      if (loaded !== undefined) nodeOptions = `--require=${dirname(dirname(await program()))}/${loaded}`;
    });
    after(() => {
      nodeOptions = '';
    });

    it('has the exit status of the work', async () => {
      assert.equal((await viaSudo('run', '--host', '--', 'sh', '-c', 'exit 42')).status, 42);
    });

    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      it(`ends the work by ${signal}`, async () => {
        const words = [await program(), 'run', '--host', '--', 'sh', '-c', 'echo started; sleep 1000'];
        const env = { ...process.env, ...(await sudoEnvironment()) };
        const child = spawn(process.execPath, words, { env, cwd: '/', stdio: ['ignore', 'pipe', 'ignore'] });
        const { pid } = child;
        assert.ok(pid !== undefined);
        await once(child.stdout, 'data');
        const tree = processTree(pid);
        assert.ok(tree.length > 1, `${tree.length}`);
        child.kill(signal);
        await untilGone(tree);
      });
    }

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
      assert.equal(stdout, `0\n${homedir()}\n`);
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
