import assert from 'node:assert/strict';
import { FORWARD, privateResolver } from '../../../src/network/resolver.ts';

describe('the resolv.conf of a private network', () => {
  const own = new Set(['192.0.2.2', '127.0.0.1']);

  it("keeps resolvers of the network, and the host's search list and options", () => {
    const text = 'search example.org\nnameserver 192.0.2.1\noptions edns0\n';
    assert.deepEqual(privateResolver(text, own), { text, forward: [] });
  });

  it("takes queries for a resolver on the host's loopback to it, once", () => {
    const { text, forward } = privateResolver('# stub\nnameserver 127.0.0.53\nnameserver 127.0.0.1\n', own);
    assert.equal(text, `nameserver ${FORWARD[4]}\n`);
    assert.deepEqual(forward, [FORWARD[4]]);
  });

  it("does so for a resolver at another address of the host's, and for IPv6", () => {
    const { text, forward } = privateResolver('nameserver 192.0.2.2\nnameserver ::1\n', own);
    assert.equal(text, `nameserver ${FORWARD[4]}\nnameserver ${FORWARD[6]}\n`);
    assert.deepEqual(forward, [FORWARD[4], FORWARD[6]]);
  });

  it('leaves out what is no address', () => {
    assert.deepEqual(privateResolver('nameserver resolver.example\n', own), { text: '', forward: [] });
  });
});
