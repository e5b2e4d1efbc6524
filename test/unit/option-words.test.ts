import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { optionsOf } from '../../src/command-line/table.ts';
import { testbedFromOptions } from '../../src/library/open-options.ts';
import { IN_LIBRARY, option, useCommandLineWords } from '../../src/option-words.ts';
import { NotRunError } from '../../src/testbed/execute.ts';

const source = fileURLToPath(new URL('../../src', import.meta.url));
/** The command line itself, and what only it calls. */
const FRONT_ENDS =
  /^(verbs|command-line|doctor|report|test-runner|protocol|isolation|rootfs\/oci)\/|^(cli|sudo|tools|verbs)\.ts$/;
/** Sentences that the library cannot cause. */
const OF_THE_COMMAND_LINE = ['--tarball and --rootfs both name a root filesystem', '--bootstrapcmd is empty'];

const names: readonly string[] = optionsOf('server').map(({ name }) => name);

/** Texts of a file that name an option of a testbed as the command line has it; an argument of a program is one word. */
function namedByHand(text: string): string[] {
  const code = text.replaceAll(/\/\*.*?\*\/|^\s*\/\/.*$/gms, '');
  const texts = code.match(/'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`/gs) ?? [];
  const named = new RegExp(`--(${names.join('|')})(?![\\w-])`);
  const isProse = (each: string) => /\s/.test(each.replaceAll(/\$\{[^}]*\}/g, ''));
  return texts.filter((each) => isProse(each) && named.test(each)).map((each) => each.slice(1, -1));
}

describe('the options in messages', () => {
  afterEach(() => useCommandLineWords(false));

  it('have the words of the front end', () => {
    assert.deepEqual(
      [option('scratch'), option('network', 'none'), option('init', 'none'), option('tarball')],
      ['scratch', "network: 'none'", 'init: false', 'rootfs'],
    );
    useCommandLineWords();
    assert.deepEqual(
      [option('scratch'), option('network', 'none'), option('mirror', 'deb [x=y] z')],
      ['--scratch', '--network=none', "--mirror='deb [x=y] z'"],
    );
  });

  it('are not those of the helper, which does not know the front end', () => {
    const failure = {
      event: 'failed',
      code: 'PROCESS_LIMIT',
      what: 'give a larger --max-processes',
    } as const;
    const words = () => new NotRunError(['true'], failure).message;
    assert.match(words(), /in the testbed: it has as many .*; end some, or give a larger maxProcesses$/);
    useCommandLineWords();
    assert.match(words(), /give a larger --max-processes$/);
  });

  it('exist in both of them', () => {
    for (const [name, own] of Object.entries(IN_LIBRARY)) {
      assert.ok(names.includes(name), name);
      if (name === 'debug') continue;
      testbedFromOptions({ [own.replace(/^.* of /, '')]: undefined });
    }
  });

  it('are named by hand in no message that the library may have', () => {
    assert.deepEqual(namedByHand("remedy: 'name another one with --scratch', // --mode x"), [
      'name another one with --scratch',
    ]);
    assert.deepEqual(namedByHand("['tar', '--mode=0', `--arch=$" + "{is ? 'a' : 'b'}`]"), []);
    const files = readdirSync(source, { recursive: true, encoding: 'utf8' });
    const found = files
      .filter((file) => file.endsWith('.ts') && !FRONT_ENDS.test(file))
      .flatMap((file) => namedByHand(readFileSync(`${source}/${file}`, 'utf8')))
      .filter((text) => !OF_THE_COMMAND_LINE.includes(text));
    assert.deepEqual(found, []);
  });
});
