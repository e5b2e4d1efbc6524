/** Examples of laboratories with real servers, as a person would write them. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Network, Testbed } from '../../src/index.ts';
import { useLabs } from '../support/lab.ts';
import { testTarball } from '../support/rootfs.ts';
import { itWithUsers } from '../support/skip.ts';

const example = (name: string) =>
  readFileSync(fileURLToPath(new URL(`lab/${name}.yaml`, import.meta.url)), 'utf8');

describe('laboratories, by example', function () {
  this.timeout(120_000);
  const lab = useLabs();

  itWithUsers(
    'a client fetches a page by a name that only the name server knows; another laboratory has the same addresses',
    async () => {
      const one = lab(example('web'));
      const two = lab(example('web').replaceAll('the page', 'another page'));
      await Promise.all([one.up(), two.up()]);
      const fetch = 'timeout 10 busybox wget -qO- http://www.lab.test/';
      assert.equal((await one.on('client', fetch)).stdout, 'the page\n');
      assert.equal((await two.on('client', fetch)).stdout, 'another page\n');
      const ask = 'dig +short @10.1.0.2 www.lab.test A www.lab.test AAAA';
      assert.equal((await one.on('client', ask)).stdout, '10.1.0.3\nfd00:1::3\n');
      assert.equal((await one.on('client', 'cut -d " " -f 2 /etc/hosts | grep -c www')).stdout, '0\n');
      // Neither sees the other: what listens at the same address is each laboratory's own.
      await one.must('down');
      assert.deepEqual(one.namespaces.members(), []);
      assert.equal((await two.on('client', fetch)).stdout, 'another page\n');
    },
  );

  it('a Redis replica still answers when its link is cut, and catches up when it is healed', async () => {
    const redis = lab(example('redis'));
    await redis.up();
    const on = async (host: string, ...words: string[]) =>
      (await redis.must('exec', host, 'timeout', '20', 'redis-cli', ...words)).trim();
    // WAIT counts the replicas that have the last write of its own connection.
    const set = async (value: string, patience: number) => {
      const text = `printf 'SET ${value} kept\\nWAIT 1 ${patience}\\n' | redis-cli`;
      return (await redis.must('exec', 'primary', 'timeout', '20', 'sh', '-c', text)).trim();
    };
    const linked = (state: 'up' | 'down') =>
      redis.must(
        'exec',
        'replica',
        ...['timeout', '60', 'sh', '-c'],
        `until redis-cli INFO replication | grep -q master_link_status:${state}; do sleep 0.05; done`,
      );
    await linked('up');
    assert.equal(await set('before', 10_000), 'OK\n1');
    assert.equal(await on('replica', 'GET', 'before'), 'kept');

    await redis.must('cut', 'replica');
    assert.equal(await set('during', 100), 'OK\n0');
    assert.equal(await on('replica', 'GET', 'during'), '');
    assert.equal(await on('replica', 'GET', 'before'), 'kept');
    await linked('down');

    await redis.must('heal');
    await linked('up');
    assert.equal(await set('after', 10_000), 'OK\n1');
    for (const key of ['during', 'after']) assert.equal(await on('replica', 'GET', key), 'kept');
  });
});

describe('laboratories, from a program', function () {
  this.timeout(120_000);

  it('two testbeds in a network talk by name, until their link is cut', async () => {
    const rootfs = testTarball('lab');
    await using network = await Network.create({ subnet: '10.4.0.0/24' });
    await using server = await Testbed.open({ rootfs, network, address: '10.4.0.10', hostname: 'server' });
    await using client = await Testbed.open({ rootfs, network, hostname: 'client', dns: '10.4.0.10' });
    await server.run('mkdir /srv/www && echo page >/srv/www/index.html && busybox httpd -h /srv/www', {
      check: true,
    });
    const fetch = () => client.run('timeout 2 busybox wget -qO- http://server/');
    assert.equal((await fetch()).stdout, 'page\n');
    assert.equal((await client.run('cat /etc/resolv.conf')).stdout, 'nameserver 10.4.0.10\n');
    await network.link('server').down();
    assert.notEqual((await fetch()).status, 0);
  });
});
