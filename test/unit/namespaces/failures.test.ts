import assert from 'node:assert/strict';
import { remedyOf } from '../../../src/namespaces/failures.ts';

describe('the remedy for a testbed whose pid 1 cannot be executed', () => {
  const remedy = (errno: string) =>
    remedyOf({ event: 'failed', code: 'NO_SHELL', what: 'executing /bin/sh', errno });

  it('is another root filesystem', () => {
    assert.match(remedy('ENOENT'), /root filesystem/);
  });

  it('is memory where that is what the machine lacks', () => {
    assert.equal(remedy('ENOMEM'), 'free some memory');
  });
});
