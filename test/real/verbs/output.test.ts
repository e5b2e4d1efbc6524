/** Exit status and words of the program where its output cannot be written, or where it ends too early. */
import assert from 'node:assert/strict';
import { call, PROGRAM } from '../../support/program.ts';
import { projectDir, testTarball } from '../../support/rootfs.ts';

/** What a shell's pipeline or redirection does; `$0 $1` is the program. */
const shell = (script: string) => call(['bash', '-c', script, process.execPath, PROGRAM]);

describe('stdout', function () {
  this.timeout(60_000);

  for (const words of ['--help', '--version', 'help', 'run --help', 'ps', 'ps --json', 'rootfs list']) {
    it(`that is read by no process ends ${words} quietly`, async () => {
      // The reader is gone before the first byte.
      const script = `exec 3> >(:); wait $!; "$0" "$1" ${words} >&3; echo $?`;
      const { stdout, stderr } = await shell(script);
      assert.deepEqual([stdout, stderr], ['0\n', '']);
    });

    it(`that is full is one sentence of ${words}`, async () => {
      const { status, stderr } = await shell(`"$0" "$1" ${words} >/dev/full`);
      assert.equal(status, 1);
      assert.match(stderr, /^virt-ts-unshare: cannot write to stdout: ENOSPC.*\n$/);
    });
  }
});

describe('a mistyped verb', () => {
  it('is answered with the one that was meant', async () => {
    const { status, stderr } = await shell('"$0" "$1" rnu -- true');
    assert.equal(status, 2);
    assert.match(stderr, /^virt-ts-unshare: unknown verb rnu \(did you mean run\)/);
  });
});

describe('run', function () {
  this.timeout(60_000);

  it('never exits with 0 when it has not run the command', async () => {
    const limited = 'echo 0 >/proc/sys/user/max_uts_namespaces; "$0" "$1" run --tarball "$2" -- false';
    const argv = ['unshare', '-Ur', 'sh', '-c', limited, process.execPath, PROGRAM, testTarball()] as const;
    const { status, stderr } = await call(argv);
    assert.equal(status, 255);
    assert.match(stderr, /^virt-ts-unshare: /m);
  });
});

describe('work that Node ends too early', function () {
  this.timeout(60_000);

  it('is a sentence and a status that is not 0', async () => {
    const program = [process.execPath, '--import', 'tsx', `${projectDir}test/support/empty-loop.ts`] as const;
    for (const input of ['open\n', '', 'quit\n']) {
      const ended = await call([...program, '--tarball', testTarball()], { input });
      assert.equal(ended.status, 16, JSON.stringify(input));
      assert.match(ended.stderr, /internal error: the program ended before its work was done/);
    }
  });
});
