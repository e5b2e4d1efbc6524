/** Completions in the shells themselves, and the manual pages as man(1) shows them. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hasProgram } from '../../../src/processes/find.ts';
import { call } from '../../support/program.ts';
import { projectDir } from '../../support/rootfs.ts';
import { lack } from '../../support/skip.ts';
import { Terminal } from '../../support/terminal.ts';
import { testProvider } from '../../support/testbed.ts';

const COMPLETIONS = `${projectDir}dist/completions`;

/** What is completed behind `virt-ts-unshare `, and what must be among the answers. */
const CASES: readonly (readonly [typed: string, wanted: readonly string[], unwanted?: string])[] = [
  ['r', ['run', 'rootfs']],
  ['--net', ['--network']],
  ['run --network ', ['host', 'none', 'private']],
  ['run --release tri', ['trixie']],
  ['run --release mine', ['mine-own']],
  ['rootfs ', ['list', 'build', 'prune']],
  ['rootfs remove mine', ['mine-own-amd64']],
  ['lab d', ['down']],
  ['ps --', ['--json', '--processes'], '--network'],
  ['exec completed-', ['completed-by-shells']],
  ['close completed-', ['completed-by-shells']],
  ['stats completed-', ['completed-by-shells']],
  ['cp some', ['somewhere.tar']],
  ['cp completed-', ['completed-by-shells:']],
  ['run --tarball some', ['somewhere.tar']],
  ['help s', ['shell']],
  ['test --needs-internet ', ['run', 'skip', 'try']],
  ['test some', ['somewhere.tar']],
];

describe('completion', function () {
  this.timeout(60_000);
  const provider = testProvider({ hostname: 'completed-by-shells' });
  let folder: string;
  let env: Record<string, string>;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-shells-'));
    mkdirSync(join(folder, 'cache/virt-ts-unshare/images'), { recursive: true });
    writeFileSync(join(folder, 'cache/virt-ts-unshare/images/mine-own-amd64.tar.zst'), '');
    writeFileSync(join(folder, 'somewhere.tar'), '');
    env = {
      ...{ XDG_CACHE_HOME: join(folder, 'cache'), HOME: folder, TERM: 'dumb' },
      PATH: `${projectDir}bin:${process.env.PATH}`,
    };
    await provider.open();
  });
  after(async () => {
    await provider.dispose();
    rmSync(folder, { recursive: true });
  });

  const check = (typed: string, found: readonly string[]) => {
    const [, wanted = [], unwanted = '-'] = CASES.find(([text]) => text === typed) ?? [];
    for (const word of wanted) assert.ok(found.includes(word), `${typed}: ${found.join(' ')}`);
    assert.ok(!found.includes(unwanted), `${typed}: ${found.join(' ')}`);
  };

  it('is that of the table in bash', async () => {
    const script = `${projectDir}test/support/complete.bash`;
    for (const [typed] of CASES) {
      const { stdout, stderr } = await call(['bash', script, `${COMPLETIONS}/virt-ts-unshare`, typed], {
        env,
        cwd: folder,
      });
      assert.equal(stderr, '');
      check(typed, stdout.split('\n'));
    }
  });

  it('is that of the table in fish', async function () {
    if (!hasProgram('fish')) return lack(this, 'fish is not installed');
    for (const [typed] of CASES) {
      const script = `source ${COMPLETIONS}/virt-ts-unshare.fish; complete -C 'virt-ts-unshare ${typed}'`;
      const { stdout, stderr } = await call(['fish', '--no-config', '-c', script], { env, cwd: folder });
      assert.equal(stderr, '');
      check(
        typed,
        stdout.split('\n').map((line) => line.replace(/\t.*/, '')),
      );
    }
  });

  it('is that of the table in zsh', async function () {
    if (!hasProgram('zsh')) return lack(this, 'zsh is not installed');
    const terminal = new Terminal(['zsh', '-f', '-i'], {
      env: { ...process.env, ...env },
      cwd: folder,
      size: [60, 200],
    });
    try {
      await terminal.see(/[#$%] /);
      terminal.type('PS1="rea""dy> "\n');
      await terminal.see(/ready> /);
      terminal.type(`fpath=(${COMPLETIONS} $fpath); autoload -Uz compinit; compinit -u -D; LISTMAX=1000\n`);
      await terminal.see(/ready> /);
      terminal.type('bindkey "^Xl" list-choices; unsetopt list_ambiguous; echo lo"ad"ed\n');
      await terminal.see(/loaded\r\n/);
      await terminal.see(/ready> /);
      for (const [typed, wanted] of CASES) {
        const from = terminal.shown.length;
        terminal.type(`virt-ts-unshare ${typed}\x18l`);
        for (const word of wanted) {
          // The only match is listed too, by itself on a line or in a column.
          await terminal.waitFor(new RegExp(`(^|[\\s])${word}([\\s]|$)`, 'm'), from + typed.length);
        }
        terminal.type('\x15echo ne"x"t\n');
        await terminal.see(/next\r\n/);
        await terminal.see(/ready> /);
      }
    } finally {
      terminal.kill();
    }
  });
});

describe('the manual pages', function () {
  this.timeout(60_000);
  const pages = readdirSync(`${projectDir}dist/man`).map((name) => `${projectDir}dist/man/${name}`);

  it('are without fault for mandoc', async function () {
    if (!hasProgram('mandoc')) return lack(this, 'mandoc is not installed');
    // The name of the operating system is a matter of the package.
    const { stdout, stderr } = await call(['mandoc', '-Tlint', '-Wstyle', ...pages]);
    assert.deepEqual([stdout, stderr], ['', '']);
  });

  it('are shown by man without a warning, in 80 columns', async function () {
    if (!hasProgram('man')) return lack(this, 'man is not installed');
    for (const path of pages) {
      const env = { MANWIDTH: '80', LC_ALL: 'C.UTF-8', MANROFFOPT: '-ww' };
      const { stdout, stderr } = await call(['man', '--warnings', '-l', path], { env });
      assert.equal(stderr, '', path);
      assert.match(stdout, /^NAME\n.*\s-\s+\S/m);
      const examples = /^EXAMPLES\n(.*?)^SEE ALSO/ms.exec(stdout)?.[1] ?? '';
      const text = stdout.replace(examples, '');
      assert.deepEqual(
        text.split('\n').filter((line) => line.length > 80),
        [],
        path,
      );
      assert.doesNotMatch(stdout, /\\f[BIR]|\\[-(]/);
    }
  });
});
