import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { TestbedError } from '../../src/errors.ts';
import { remedyOf } from '../../src/namespaces/failures.ts';
import { remedyInWords, scarceError } from '../../src/scarce.ts';

const systemError = (code: string, facts: object) =>
  Object.assign(new Error(`${code}: reason, open '/a'`), { code, ...facts });

describe('an error of a system that has no more of something', () => {
  it('becomes a sentence with the call, the path and the remedy', () => {
    const error = scarceError(systemError('EMFILE', { syscall: 'open', path: '/a' }));
    assert.ok(error instanceof TestbedError);
    assert.equal(
      error.message,
      'open of /a failed: EMFILE: reason; raise the limit of open files (ulimit -n)',
    );
    assert.equal(error.code, 'EMFILE');
  });

  it('may be a quota, for which Node.js has no name', () => {
    const unknown = 'Unknown system error -122';
    const error = Object.assign(new Error(`${unknown}: ${unknown}, write`), {
      code: unknown,
      syscall: 'write',
    });
    assert.equal(
      scarceError(error)?.message,
      'write failed: EDQUOT: disk quota exceeded; delete files of this user, or raise its quota',
    );
  });

  it('is no other error, and none of this program', () => {
    assert.equal(scarceError(systemError('ENOENT', { syscall: 'open', path: '/a' })), undefined);
    assert.equal(scarceError(new TypeError('no function')), undefined);
    assert.equal(scarceError(new TestbedError('it is full', { code: 'ENOSPC' })), undefined);
  });

  it('is found in the words of a program, the more exact one first', () => {
    assert.match(remedyInWords('cp: error: No space left on device') ?? '', /free space/);
    assert.match(remedyInWords('sh: Too many open files in system') ?? '', /fs\.file-max/);
    assert.match(remedyInWords('cat: write error: File too large') ?? '', /ulimit -f/);
    assert.match(remedyInWords('sh: 1: Cannot fork') ?? '', /ulimit -u/);
    assert.equal(remedyInWords('cp: it is a directory'), undefined);
  });

  it('has the same remedy in the execute program, which a driver runs without TypeScript', () => {
    const source = readFileSync(new URL('../../helper/exec.c', import.meta.url), 'utf8');
    const cases = [...source.matchAll(/(?:case (E[A-Z]+)|default): return "([^"]+)";/g)];
    assert.ok(cases.length > 5, source);
    for (const [, errno = 'EOTHER', remedy = ''] of cases) {
      const failure = { event: 'failed', code: 'CANNOT_ENTER', what: 'entering a namespace', errno } as const;
      assert.ok(remedyOf(failure).endsWith(remedy), `${errno}: ${remedy}`);
    }
  });
});
