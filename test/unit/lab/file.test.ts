import assert from 'node:assert/strict';
import { UsageError } from '../../../src/errors.ts';
import { withAddresses } from '../../../src/lab/addresses.ts';
import { parseLab } from '../../../src/lab/file.ts';
import { dotGraph, svgGraph } from '../../../src/lab/graph.ts';

const TWO_NETWORKS = `
root: bookworm
networks:
  lan: 10.1.0.0/24
  wan: [10.2.0.0/24, 'fd00:2::/64']
dns: ns
hosts:
  ns: { networks: { lan: 10.1.0.2 }, link: { latency: 5ms } }
  router:
    networks:
      lan: 10.1.0.1
      wan: { address: [10.2.0.1, 'fd00:2::1'], bandwidth: 10mbit }
    forward: true
  client:
    root: { tarball: ../image.tar }
    networks: { wan: }
    gateway: 10.2.0.1
    publish: 8080:80
    dns: 10.2.0.1
    commands: [true-command]
    max-processes: 500
    max-memory: 2G
`;

describe('the file of a laboratory', () => {
  const lab = () => parseLab(TWO_NETWORKS, '/srv/labs/two.yaml');

  it('has a name of its own for each place', () => {
    assert.match(lab().name, /^two-[0-9a-f]{8}$/);
    assert.notEqual(parseLab(TWO_NETWORKS, '/srv/other/two.yaml').name, lab().name);
  });

  it('describes networks, hosts, links and routes', () => {
    const [ns, router, client] = lab().hosts;
    assert.deepEqual(lab().networks, [
      { name: 'lan', subnets: ['10.1.0.0/24'] },
      { name: 'wan', subnets: ['10.2.0.0/24', 'fd00:2::/64'] },
    ]);
    assert.deepEqual(ns?.member.interfaces, [
      { network: 'lan', addresses: ['10.1.0.2'], quality: { latency: 5 } },
    ]);
    assert.deepEqual(router?.member.interfaces[1], {
      network: 'wan',
      addresses: ['10.2.0.1', 'fd00:2::1'],
      quality: { bandwidth: 10e6 },
    });
    assert.equal(router?.member.forward, true);
    assert.deepEqual(router?.member.dns, ['10.1.0.2']);
    assert.deepEqual(client?.member.interfaces, [{ network: 'wan' }]);
    assert.deepEqual(client?.member.routes, [{ to: 'default', via: '10.2.0.1' }]);
    assert.deepEqual(client?.member.dns, ['10.2.0.1']);
    assert.deepEqual([client?.member.outside, client?.member.publish], [true, ['8080:80']]);
    assert.deepEqual([ns?.root, client?.root], [{ release: 'bookworm' }, { tarball: '/srv/image.tar' }]);
    assert.deepEqual(client?.commands, ['true-command']);
    assert.deepEqual([client?.maxProcesses, client?.maxMemory], [500, 2 * 1024 ** 3]);
  });

  it('is reported with the place of an error', () => {
    const wrong: Record<string, RegExp> = {
      'networks: {lan: 10.1.0.0/24}\nhosts: {a: {adress: 10.1.0.2}}':
        /hosts\.a .*adress \(did you mean address\); .*address/,
      'networks: {lan: 10.1.0.0/24}\nhosts: {a: {release: sid}}':
        /key release \(did you mean root: NAME\); use one of root,/,
      'rootfs: /x\nnetworks: {lan: 10.1.0.0/24}\nhosts: {a: }':
        /key rootfs \(did you mean root: \{ rootfs: PATH \}\)/,
      'networks: {lan: 10.1.0.0/24}\nhosts: {a: {address: 10.2.0.2}}': /10\.2\.0\.2/,
      'networks: {lan: 10.1.0.1/24}\nhosts: {a: }': /10\.1\.0\.1\/24/,
      'networks: {lan: 10.1.0.0/24}\nhosts: {a: {dns: b}}': /dns names b/,
      'networks: {lan: 10.1.0.0/24}\nhosts: {a: {networks: {wan: }}}': /hosts\.a\.networks\.wan/,
      'networks: {lan: 10.1.0.0/24, wan: 10.2.0.0/24}\nhosts: {a: }': /hosts\.a .*networks/,
      'networks: {lan: 10.1.0.0/24}\nhosts: {a: {link: {latency: 5}}}': /latency 5/,
      'networks: {lan: 10.1.0.0/24}\nhosts: [a]': /hosts /,
      'networks: {lan: 10.1.0.0/24}\nhosts: {}': /it describes no network, or no host/,
      'networks: {lan: 10.1.0.0/24}\nhosts: {A_b: }': /hosts has "A_b", which is not a host name/,
      'networks: {"a/b": 10.1.0.0/24}\nhosts: {a: }': /networks has "a\/b", which is not a name/,
      'networks: {lan: 10.1.0.0/24}\nhosts: {a: {binds: {./x: srv}}}':
        /hosts\.a\.binds has srv, which is not an absolute path/,
      'networks: {lan: 10.1.0.0/24}\nhosts: {a: {commands: ["a\\0b"]}}': /hosts\.a\.commands has a null byte/,
      'root: ""\nnetworks: {lan: 10.1.0.0/24}\nhosts: {a: }': /hosts\.a\.root is not a text/,
      'networks: {lan: 10.1.0.0/24}\nhosts: {a: {"two\\nlines": x}}': /unknown key "two\\nlines"; use one of/,
      'hosts: [': /cannot be read/,
    };
    for (const [text, message] of Object.entries(wrong)) {
      assert.throws(
        () => parseLab(text, '/lab.yaml'),
        (error) =>
          error instanceof UsageError &&
          ['WRONG_LAB_FILE', 'WRONG_VALUE'].includes(error.code) &&
          error.remedy !== undefined &&
          message.test(error.message) &&
          error.message.startsWith('/lab.yaml'),
        text,
      );
    }
  });

  it('can be drawn, every host and network by its name', () => {
    const [dot, svg] = [dotGraph(lab()), svgGraph(lab())];
    for (const name of [
      'ns',
      'router',
      'client',
      'lan',
      'wan',
      '10.2.0.1',
      '10 Mbit/s',
      'published 8080:80',
    ]) {
      assert.ok(dot.includes(name), name);
      assert.ok(svg.includes(name), name);
    }
    assert.equal(dot.match(/ -- /g)?.length, 4);
    assert.equal(svg.match(/class="link"/g)?.length, 4);
  });
});

describe('the addresses of a picture', () => {
  const AUTOMATIC = `
networks: { lan: 10.1.0.0/30, wide: [10.2.0.0/24, 'fd00:2::/64'] }
hosts:
  one: { networks: { lan: , wide: } }
  two: { networks: { lan: 10.1.0.2, wide: 10.2.0.2 } }
  three: { networks: { wide: } }
`;
  const labels = (text: string) =>
    [...text.matchAll(/-- "net \w+" \[label="(.*)"\]/g)].map(([, label]) => label);

  it('are those that lab up will choose', () => {
    assert.deepEqual(labels(dotGraph(withAddresses(parseLab(AUTOMATIC, '/a.yaml'), []))), [
      '10.1.0.1',
      '10.2.0.1\\nfd00:2::1',
      '10.1.0.2',
      '10.2.0.2',
      '10.2.0.3\\nfd00:2::2',
    ]);
  });

  it('are none that a later host has in the file', () => {
    const text = 'networks: { lan: 10.1.0.0/30 }\nhosts: { one: , two: { address: 10.1.0.1 } }';
    const { hosts } = withAddresses(parseLab(text, '/a.yaml'), []);
    const addresses = hosts.flatMap(({ member }) => member.interfaces.flatMap((one) => one.addresses ?? []));
    assert.deepEqual(addresses, ['10.1.0.2', '10.1.0.1']);
  });

  it('are those that open hosts have', () => {
    const port = { network: 'lan', inside: 'eth0', addresses: ['10.1.0.9/30'] };
    const open = [{ hostname: 'one', ports: [port] }];
    assert.equal(labels(dotGraph(withAddresses(parseLab(AUTOMATIC, '/a.yaml'), open)))[0], '10.1.0.9');
  });
});
