import assert from 'node:assert/strict';
import { UsageError } from '../../../src/errors.ts';
import { checkQuality, describeQuality, parseQuality, queueArguments } from '../../../src/network/link.ts';

describe('the quality of a link', () => {
  it('is read from words', () => {
    assert.deepEqual(parseQuality({ latency: '1.5s', loss: '0.5%', bandwidth: '10Mbit' }), {
      latency: 1500,
      loss: 0.5,
      bandwidth: 10e6,
    });
    assert.deepEqual(parseQuality({}), {});
    for (const words of [{ latency: '20' }, { loss: '101%' }, { loss: '1' }, { bandwidth: '10mb' }]) {
      assert.throws(() => parseQuality(words), UsageError, JSON.stringify(words));
    }
  });

  it('becomes netem for latency and loss, tbf for bandwidth alone, and nothing for a perfect link', () => {
    assert.equal(
      queueArguments({ latency: 20, loss: 1, bandwidth: 1e6 })?.join(' '),
      'netem delay 20ms loss 1% rate 1000000bit limit 100000',
    );
    assert.equal(
      queueArguments({ bandwidth: 8e8 })?.join(' '),
      'tbf rate 800000000bit burst 1000000 latency 400ms',
    );
    assert.equal(queueArguments({}), undefined);
  });

  it('is refused where the queues of the kernel would not take it', () => {
    checkQuality({ latency: 0.5, loss: 100, bandwidth: 8 });
    for (const [quality, words] of [
      [{ latency: '20ms' }, /latency of a link is 20ms; give a number of milliseconds, from 0 to 3600000/],
      [{ latency: -5 }, /latency of a link is -5/],
      [{ loss: Number.NaN }, /loss of a link is NaN/],
      [{ bandwidth: 1 }, /bandwidth of a link is 1; .* from 8/],
      [{ los: 5 }, /a link has no los; it has latency, loss, bandwidth/],
      [null, /quality of a link is null; give an object/],
      [5, /quality of a link is 5/],
    ] as const) {
      assert.throws(
        () => Reflect.apply(checkQuality, undefined, [quality]),
        (error) => {
          assert.ok(error instanceof UsageError);
          assert.match(error.message, words);
          return true;
        },
      );
    }
    assert.throws(() => parseQuality({ latency: '10000s' }), UsageError);
  });

  it('can be said', () => {
    assert.equal(describeQuality({ latency: 20, bandwidth: 1e7 }), '20 ms, 10 Mbit/s');
    assert.equal(describeQuality({}), '');
  });
});
