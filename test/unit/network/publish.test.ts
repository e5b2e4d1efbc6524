import assert from 'node:assert/strict';
import { UsageError } from '../../../src/errors.ts';
import { parsePublish, pastaPorts } from '../../../src/network/publish.ts';

describe('published ports', () => {
  it('lead from loopback to the same port by default', () => {
    assert.deepEqual(parsePublish('8080'), {
      address: '127.0.0.1',
      hostPort: 8080,
      port: 8080,
      protocol: 'tcp',
    });
    assert.deepEqual(parsePublish('[::1]:53000:53/udp'), {
      address: '::1',
      hostPort: 53000,
      port: 53,
      protocol: 'udp',
    });
  });

  it('are in the range of ports', () => {
    for (const text of ['0', '65536', '80:65536', '80/sctp', 'x', '1.2.3.4:', '1.2.3.444:80', '80:90:100']) {
      assert.throws(() => parsePublish(text), UsageError, text);
    }
  });

  it('forward nothing that is not named, in neither direction', () => {
    assert.deepEqual(pastaPorts([]).join(' '), '-t none -u none -T none -U none');
    const published = ['8080:80', '0.0.0.0:9090', '53000:53/udp'].map(parsePublish);
    assert.equal(
      pastaPorts(published).join(' '),
      '-t 127.0.0.1/8080:80 -t 0.0.0.0/9090:9090 -u 127.0.0.1/53000:53 -T none -U none',
    );
  });
});
