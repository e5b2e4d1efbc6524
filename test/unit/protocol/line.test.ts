import assert from 'node:assert/strict';
import { MisuseError } from '../../../src/errors.ts';
import {
  decodeText,
  decodeWord,
  encodeList,
  encodeWord,
  parseRequest,
  quoted,
} from '../../../src/protocol/line.ts';

describe('percent codec', () => {
  it('decodes words to the bytes they stand for', () => {
    assert.deepEqual(decodeWord('a%20b%2Cc%2fd'), Buffer.from('a b,c/d'));
    assert.deepEqual(decodeWord('%ff%00'.slice(0, 3)), Buffer.from([0xff]));
    assert.deepEqual(decodeWord(''), Buffer.alloc(0));
    assert.deepEqual(decodeWord('%25ff'), Buffer.from('%ff'));
  });

  it('keeps every byte but NUL, encoded or not', () => {
    for (let byte = 1; byte < 256; byte += 1) {
      const bytes = Buffer.from([byte]);
      assert.deepEqual(decodeWord(encodeWord(bytes)), bytes);
      if (byte !== 0x25) assert.deepEqual(decodeWord(bytes.toString('latin1')), bytes);
    }
  });

  it('encodes what Python quotes, so that a driver sees the words it knows', () => {
    assert.equal(encodeWord('/tmp/a b,ü=~_.-%'), '/tmp/a%20b%2C%C3%BC%3D~_.-%25');
    assert.equal(encodeList(['sh', '-c', 'a,b']), 'sh,-c,a%2Cb');
  });

  for (const word of ['%', '%4', 'a%', '%zz', '%1g', '% 20', '%%20']) {
    it(`rejects the percent code in ${JSON.stringify(word)}`, () => {
      assert.throws(() => decodeWord(word), MisuseError);
    });
  }

  it('rejects an encoded NUL', () => {
    assert.throws(() => decodeWord('a%00b'), MisuseError);
  });

  it('gives text only for UTF-8', () => {
    assert.equal(decodeText('%C3%BC'), 'ü');
    assert.equal(decodeText('%EF%BB%BFa'), '\ufeffa');
    assert.throws(() => decodeText('%ff'), MisuseError);
    assert.throws(() => decodeText('%C3'), MisuseError);
  });
});

describe('parseRequest', () => {
  it('splits at blanks', () => {
    assert.deepEqual(parseRequest('copyup  /a /b\r'), { verb: 'copyup', words: ['/a', '/b'] });
    assert.deepEqual(parseRequest('\topen '), { verb: 'open', words: [] });
  });

  it('reads an underscore in a verb as a hyphen, as autopkgtest sends it', () => {
    assert.equal(parseRequest('auxverb_debug_fail').verb, 'auxverb-debug-fail');
    assert.deepEqual(parseRequest('copyup /a_b /c_d').words, ['/a_b', '/c_d']);
  });

  for (const line of ['', ' ', '\t', 'op\0en', 'open\0']) {
    it(`rejects ${JSON.stringify(line)}`, () => {
      assert.throws(() => parseRequest(line), MisuseError);
    });
  }
});

describe('quoted', () => {
  it('lets nothing through that moves a cursor, and cuts what is long', () => {
    assert.equal(quoted('a\x1b[2J\x9b'), "'a?[2J?'");
    assert.equal(quoted('x'.repeat(100)).length, 62);
  });
});
