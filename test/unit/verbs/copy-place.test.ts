import assert from 'node:assert/strict';
import { placeOfWord } from '../../../src/verbs/copy-place.ts';

describe('a word of cp', () => {
  it('is an archive, a path of the host, or a path of a testbed', () => {
    assert.deepEqual(placeOfWord('-'), { kind: 'archive' });
    for (const path of ['file', './a:b', '/a:b', '../a:b', 'dir/a:b', ':b', '.hidden:b']) {
      assert.deepEqual(placeOfWord(path), { kind: 'file', path });
    }
    assert.deepEqual(placeOfWord('web:/a:b'), {
      kind: 'testbed',
      name: 'web',
      path: '/a:b',
      word: 'web:/a:b',
    });
    assert.deepEqual(placeOfWord('web:a'), { kind: 'testbed', name: 'web', path: '/a', word: 'web:a' });
    assert.deepEqual(placeOfWord('web:'), { kind: 'testbed', name: 'web', path: '/', word: 'web:' });
  });
});
