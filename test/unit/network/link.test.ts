import assert from 'node:assert/strict';
import { UsageError } from '../../../src/errors.ts';
import { describeQuality, parseQuality, queueArguments } from '../../../src/network/link.ts';

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

  it('can be said', () => {
    assert.equal(describeQuality({ latency: 20, bandwidth: 1e7 }), '20 ms, 10 Mbit/s');
    assert.equal(describeQuality({}), '');
  });
});
