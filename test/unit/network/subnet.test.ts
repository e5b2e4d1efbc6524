import assert from 'node:assert/strict';
import { UsageError } from '../../../src/errors.ts';
import {
  formatAddress,
  formatSubnet,
  freeAddress,
  isHostAddress,
  normalAddress,
  parseAddress,
  parseSubnet,
} from '../../../src/network/subnet.ts';

describe('addresses and subnets', () => {
  it('have one spelling, that of RFC 5952', () => {
    const spellings = {
      '10.1.0.2': '10.1.0.2',
      'FD00:1:0:0:0:0:0:2': 'fd00:1::2',
      'fd00::1:0:0:2': 'fd00::1:0:0:2',
      'fd00:0:0:1:0:0:0:2': 'fd00:0:0:1::2',
      '::': '::',
      '::1': '::1',
      'fd00::': 'fd00::',
      '1:0:2:0:3:0:4:0': '1:0:2:0:3:0:4:0',
      '0:0:1:1:1:1:1:1': '::1:1:1:1:1:1',
    };
    for (const [given, wanted] of Object.entries(spellings)) assert.equal(normalAddress(given), wanted);
  });

  it('are numbers', () => {
    assert.deepEqual(parseAddress('1.2.3.4'), { version: 4, value: 0x01020304n });
    assert.equal(formatAddress(4, 0xc0000201n), '192.0.2.1');
    for (const text of ['10.1.0', '10.1.0.256', 'fd00::1%eth0', 'ns', '', '::ffff:1.2.3.4']) {
      assert.throws(() => parseAddress(text), UsageError, text);
    }
  });

  it('are given by the first address and the length of the prefix', () => {
    assert.equal(formatSubnet(parseSubnet('10.1.0.0/24')), '10.1.0.0/24');
    assert.throws(() => parseSubnet('10.1.0.7/24'), /write 10\.1\.0\.0\/24/);
    for (const text of ['10.1.0.0', '10.1.0.0/31', '10.1.0.0/33', 'fd00::/129', '/24']) {
      assert.throws(() => parseSubnet(text), UsageError, text);
    }
  });

  it('leave the first address and the broadcast address to no host', () => {
    const subnet = parseSubnet('10.1.0.0/30');
    const hosts = ['10.1.0.0', '10.1.0.1', '10.1.0.2', '10.1.0.3', '10.1.0.4', 'fd00::1'];
    assert.deepEqual(
      hosts.filter((address) => isHostAddress(subnet, address)),
      ['10.1.0.1', '10.1.0.2'],
    );
    assert.ok(isHostAddress(parseSubnet('fd00::/126'), 'fd00::3'));
  });

  it('give the lowest free address, until there is none', () => {
    const subnet = parseSubnet('10.1.0.0/30');
    assert.equal(freeAddress(subnet, new Set(['10.1.0.1'])), '10.1.0.2');
    assert.throws(() => freeAddress(subnet, new Set(['10.1.0.1', '10.1.0.2'])), UsageError);
  });
});
