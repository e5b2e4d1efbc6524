/** Exit status and words of the program where its output cannot be written, or where it ends too early. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
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

describe('stdout of the server', function () {
  this.timeout(60_000);

  it('that is full is one sentence, and a status that is not 0', async () => {
    const { status, stderr } = await shell(
      `printf 'open\\nquit\\n' | "$0" "$1" -t '${testTarball()}' >/dev/full`,
    );
    assert.equal(status, 12);
    assert.match(stderr, /^virt-ts-unshare: cannot write a reply to stdout: ENOSPC: [^\n]*; free space.*\n$/);
  });
});

describe('a mistyped verb', () => {
  it('is answered with the one that was meant', async () => {
    const { status, stderr } = await shell('"$0" "$1" rnu -- true');
    assert.equal(status, 2);
    assert.match(stderr, /^virt-ts-unshare: unknown verb rnu \(did you mean run\)/);
  });

  it('of docker and podman is answered with what does the same', async () => {
    const { status, stderr } = await shell('"$0" "$1" stop web');
    assert.equal(status, 2);
    assert.match(stderr, /^virt-ts-unshare: unknown verb stop \(did you mean close\); give one of run, /);
  });
});

describe('a verb without what it needs, or with more', () => {
  const CALLS = ['close', 'commit', 'commit a b c', 'exec', 'logs', 'report', 'shell -- true'];
  it('is an error with status 2 that names the verb and a remedy', async () => {
    const outcomes = await Promise.all(CALLS.map((words) => shell(`"$0" "$1" ${words}`)));
    for (const [at, { status, stderr }] of outcomes.entries()) {
      const [verb] = CALLS[at]?.split(' ') ?? [];
      assert.equal(status, 2, stderr);
      assert.match(stderr, new RegExp(`^virt-ts-unshare: ${verb} (needs|takes) [^\\n;]*; [^\\n]+\\n$`));
    }
  });
});

describe('a report', () => {
  it('that cannot be written is an error that names its file', async () => {
    const session = `printf 'open\\nquit\\n' | "$0" "$1" --events "$F" -t '${testTarball()}' >&2`;
    const script = `F=$(mktemp); ${session} && "$0" "$1" report "$F" -o "$F/report.html"; s=$?; rm "$F"; exit $s`;
    const { status, stderr } = await shell(script);
    assert.equal(status, 255, stderr);
    assert.match(
      stderr,
      /cannot write the report \S+\/report\.html: ENOTDIR[^;]*; name a file in a directory/,
    );
  });
});

describe('help', () => {
  it('of a verb is that of its --help', async () => {
    const [one, other] = [await shell('"$0" "$1" help run'), await shell('"$0" "$1" run --help')];
    assert.deepEqual(one, other);
    const { status, stderr } = await shell('"$0" "$1" help rnu');
    assert.equal(status, 2);
    assert.match(stderr, /unknown verb rnu \(did you mean run\)/);
  });
});

describe('the program', () => {
  it('gets its options from Node, also those that Node has too', async () => {
    // By its first line, as a shell starts it.
    const { status, stderr } = await call([PROGRAM, 'ps', '--env-file-if-exists', '/nowhere']);
    assert.equal(status, 2);
    assert.match(stderr, /^virt-ts-unshare: unknown option --env-file-if-exists/);
  });

  it('names the Node that it needs, before anything that an older one cannot read', async () => {
    const old = `Object.defineProperty(process.versions, 'node', { value: '18.20.4' }); require('${PROGRAM}')`;
    const { status, stdout, stderr } = await call([process.execPath, '-e', old, 'doctor']);
    assert.deepEqual([status, stdout], [2, '']);
    assert.match(
      stderr,
      /^virt-ts-unshare: Node\.js 18\.20\.4 is too old; install 20\.19 or newer, on Debian 13 .*\n$/,
    );
  });

  it('needs the Node of package.json', () => {
    const { engines } = JSON.parse(readFileSync(`${projectDir}package.json`, 'utf8'));
    const [, oldest = ''] = /OLDEST = \[(.*)\]/.exec(readFileSync(PROGRAM, 'utf8')) ?? [];
    assert.equal(engines.node, `>=${oldest.replace(', ', '.')}`);
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
