import assert from 'node:assert/strict';
import { type Check, diagnose } from '../../../src/doctor/diagnosis.ts';
import type { Facts } from '../../../src/doctor/facts.ts';
import { freeRange } from '../../../src/doctor/free-range.ts';
import { HOST_TOOLS } from '../../../src/tools.ts';

const PROBES = ['tmpfs', 'overlay-memory', 'overlay-disk', 'proc', 'devpts', 'sys', 'hostname', 'network'];

const GOOD: Facts = {
  user: { uid: 1000, name: 'anna' },
  nodeVersion: '20.19.0',
  kernel: '6.12.0',
  container: undefined,
  sysctls: new Map([['user.max_user_namespaces', '15000']]),
  tools: new Map(HOST_TOOLS.map(({ name }) => [name, `/usr/bin/${name}`])),
  userNamespace: undefined,
  mountInside: undefined,
  package: { folder: '/opt/virt-ts-unshare', helper: '/opt/virt-ts-unshare/dist/helper-x64' },
  ids: 65536,
  freeRange: '165536-231071',
  holder: undefined,
  probe: new Map(PROBES.map((name) => [name, undefined])),
  cgroup: { path: '/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/run-1.scope' },
  fuse: undefined,
  tun: undefined,
  executions: new Map([
    ['i386', { kind: 'native' }],
    ['arm64', { kind: 'own', interpreter: '/usr/bin/qemu-aarch64-static' }],
  ]),
  root: { path: '/home/anna/.cache/sbuild/trixie-amd64.tar.zst' },
};

const without = (facts: Partial<Facts>) => diagnose({ ...GOOD, ...facts });
const trouble = (checks: readonly Check[]) => checks.filter(({ state }) => state !== 'works');

function only(facts: Partial<Facts>, state: Check['state'], remedy: RegExp): void {
  const { works, checks } = without(facts);
  const [first, ...others] = trouble(checks);
  assert.deepEqual([first?.state, others], [state, []]);
  assert.match(first?.remedy ?? '', remedy);
  assert.equal(works, state === 'limited');
}

describe('the range of ids for one more account', () => {
  it('is the first that no account has', () => {
    assert.equal(freeRange('', ''), '100000-165535');
    assert.equal(freeRange('anna:100000:65536\n', ''), '165536-231071');
    assert.equal(freeRange('', 'x:231072:65536\nanna:100000:65536\nstrange\n'), '165536-231071');
    assert.equal(freeRange('a:100000:65536\nb:200000:1\n', 'c:150000:100000\n'), '250000-315535');
  });
});

describe('the diagnosis', () => {
  it('of a good machine has no remedies', () => {
    const { works, checks } = diagnose(GOOD);
    assert.ok(works);
    assert.deepEqual(trouble(checks), []);
    assert.ok(checks.every(({ remedy }) => remedy === undefined));
  });

  const failed = {
    userNamespace: 'unshare failed',
    mountInside: 'unshare failed',
    holder: 'no',
    probe: undefined,
  };
  const remedyOf = (facts: Partial<Facts>, name: string) =>
    without(facts).checks.find((check) => check.name === name)?.remedy ?? '';

  it('leaves the remedy to the error where nothing else explains why there are no namespaces', () => {
    const { checks } = without({ holder: 'cannot make the cache; set XDG_CACHE_HOME', probe: undefined });
    assert.deepEqual(trouble(checks), [
      {
        name: 'namespaces of a testbed',
        state: 'fails',
        detail: 'cannot make the cache; set XDG_CACHE_HOME',
      },
    ]);
    assert.match(remedyOf(failed, 'namespaces of a testbed'), /above/);
  });

  it('names the package that executes other architectures, and which it does not', () => {
    const remedy = 'install the package qemu-user-static';
    const none = { kind: 'none', why: 'there is no static qemu for arm64', remedy } as const;
    only(
      { executions: new Map([['arm64', none]]) },
      'limited',
      /^as root: apt-get install qemu-user-static$/,
    );
    const check = without({}).checks.find(({ name }) => name === 'other architectures');
    assert.equal(check?.detail, 'i386 by the processor; arm64 by qemu');
  });

  it('names how to get a cgroup for an init', () => {
    only(
      { cgroup: { why: 'this user may not write to it', remedy: 'start it by systemd-run' } },
      'limited',
      /systemd-run/,
    );
  });

  it('names the sysctl that takes user namespaces away', () => {
    const none = { ...failed, sysctls: new Map([['user.max_user_namespaces', '0']]) };
    assert.match(remedyOf(none, 'user namespaces'), /sysctl -w user\.max_user_namespaces=15000/);
    const clone = { ...failed, sysctls: new Map([['kernel.unprivileged_userns_clone', '0']]) };
    assert.match(remedyOf(clone, 'user namespaces'), /sysctl -w kernel\.unprivileged_userns_clone=1/);
    assert.equal(without(none).works, false);
  });

  it('names the container that does', () => {
    assert.match(
      remedyOf({ ...failed, container: 'podman' }, 'user namespaces'),
      /podman run --security-opt seccomp/,
    );
  });

  it("names AppArmor's restriction: a user namespace is made, but may not mount", () => {
    const facts = {
      ...failed,
      userNamespace: undefined,
      sysctls: new Map([['kernel.apparmor_restrict_unprivileged_userns', '1']]),
    };
    const remedy = remedyOf(facts, 'mounts in a user namespace');
    assert.match(
      remedy,
      /^as root, a profile for the helper: printf '.*profile virt-ts-unshare "\/opt\/virt-ts-unshare\/dist\/helper-.*" .*userns,/,
    );
    assert.equal(without(facts).works, false);
    // With the profile the helper may, and unshare(1) still may not.
    const allowed = { ...facts, holder: GOOD.holder, probe: GOOD.probe, mountInside: 'denied' };
    assert.equal(without(allowed).works, true);
  });

  it('names the masked /proc of a container', () => {
    const probe = new Map([...(GOOD.probe ?? []), ['proc', 'mount: permission denied'] as const]);
    only({ probe, container: 'docker' }, 'limited', /docker run --security-opt systempaths=unconfined/);
  });

  it('wants one of the overlays, and reports what is missing without the other', () => {
    const lacking = (...names: string[]) => ({
      probe: new Map([...(GOOD.probe ?? []), ...names.map((name) => [name, 'mount: invalid'] as const)]),
    });
    only(lacking('overlay-memory'), 'limited', /Linux 6\.6/);
    only(lacking('overlay-disk'), 'limited', /--scratch/);
    const { works, checks } = without(lacking('overlay-memory', 'overlay-disk'));
    assert.equal(works, false);
    assert.ok(trouble(checks).every(({ remedy }) => remedy?.includes('--mode=copy')));
  });

  it('counts what was never answered as a failure', () => {
    const probe = new Map([...(GOOD.probe ?? [])].filter(([name]) => name !== 'devpts'));
    only({ probe }, 'fails', /devpts/);
    assert.equal(without({ probe: new Map() }).works, false);
  });

  it('names the packages of tools that are missing', () => {
    const tools = (missing: readonly string[]) => ({
      tools: new Map([...GOOD.tools].filter(([tool]) => !missing.includes(tool))),
    });
    only(tools(['unshare', 'nsenter', 'tar']), 'fails', /apt-get install util-linux tar$/);
    only(tools(['xz']), 'limited', /apt-get install xz-utils$/);
    only(tools(['pasta', 'slirp4netns']), 'limited', /apt-get install passt$/);
    assert.deepEqual(trouble(without(tools(['pasta'])).checks), [], 'slirp4netns serves as well');
  });

  it('names what the native program takes to be compiled', () => {
    const folder = '/opt/virt-ts-unshare';
    only(
      { package: { folder, helper: undefined } },
      'fails',
      /libc6-dev; then: \/opt\/\S+\/helper\/compile \//,
    );
  });

  it('names the range of ids that a user lacks', () => {
    only({ ids: 1 }, 'limited', /usermod --add-subuids 165536-231071 --add-subgids 165536-231071 anna/);
  });

  it('names devices and the root filesystem', () => {
    only({ fuse: 'EACCES' }, 'limited', /chmod 666 \/dev\/fuse/);
    only({ tun: 'ENOENT' }, 'limited', /modprobe tun/);
    only({ root: { failure: 'no Debian' } }, 'limited', /--tarball/);
  });
});
