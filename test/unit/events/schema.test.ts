/** docs/events.schema.json and the exported types describe the same events. */
import assert from 'node:assert/strict';
import type { TestbedEvent } from '../../../src/events/types.ts';
import type { Leak } from '../../../src/leaks/leak.ts';
import { checkedEvents } from '../../support/event-schema.ts';

const common = { v: 1, session: '0123456789ab', time: 1795943220374.462 } as const;
const operation = { ...common, testbed: 1, duration: 0.5 } as const;
const error = { code: 'COPY_FAILED', message: 'no' };
const id = '0123456789abcdef';

const LEAKS: { readonly [K in Leak['kind']]: Extract<Leak, { kind: K }> } = {
  file: { kind: 'file', path: '/tmp/x', type: 'fifo', uid: 0, gid: 0, size: 0 },
  mount: { kind: 'mount', path: '/mnt', type: 'tmpfs', source: 'none' },
  process: { kind: 'process', pid: 3, uid: 0, command: 'sleep 9', ended: true },
  ipc: { kind: 'ipc', type: 'shm', id: '3', uid: 0, size: 9 },
  interface: { kind: 'interface', name: 'dummy0' },
  unit: { kind: 'unit', name: 'cron.service', state: 'failed' },
};

/** One of each kind, with every member: the compiler finds a kind that is missing. */
const EVENTS: { readonly [K in TestbedEvent['event']]: Required<Extract<TestbedEvent, { event: K }>> } = {
  start: {
    ...common,
    event: 'start',
    program: 'run',
    version: '1',
    pid: 3,
    caller: { pid: 2, argv: ['sh'] },
  },
  end: { ...common, event: 'end', duration: 3, status: 0, caller: { cpu: 30 } },
  wait: { ...common, event: 'wait', duration: 3, until: 'open' },
  open: { ...operation, event: 'open', name: 'x', root: '/x.tar', network: 'host', fork: true, error },
  command: {
    ...{ ...operation, event: 'command', argv: ['id', ''], truncated: true, status: 0, killed: true },
    ...{ cpu: 0.1, memory: 4096, read: 1, written: 2, packages: { before: id, after: id } },
  },
  packages: {
    ...{ ...common, testbed: 1, event: 'packages', id, base: id, installed: { 'libc6:i386': '2.36-9' } },
    ...{ removed: { a: '1' }, changed: { b: { from: '1', to: '2' } } },
  },
  copy: {
    ...{ ...operation, event: 'copy', direction: 'in', outside: '/a', inside: '/b', bytes: 3, files: 1 },
    error,
  },
  leak: { ...common, testbed: 1, event: 'leak', at: 'revert', leak: LEAKS.file },
  revert: { ...operation, event: 'revert', error },
  snapshot: { ...operation, event: 'snapshot', error },
  reboot: { ...operation, event: 'reboot', by: 'testbed', error },
  commit: { ...operation, event: 'commit', image: 'x', error },
  close: { ...operation, event: 'close', error },
  error: { ...common, testbed: 1, event: 'error', code: 'TOO_LONG', message: 'no' },
};

const lines = (events: readonly unknown[]) => events.map((event) => JSON.stringify(event)).join('\n');

describe('docs/events.schema.json', () => {
  it('allows an event of each kind with every member, and each kind of leak', () => {
    checkedEvents(lines(Object.values(EVENTS)));
    checkedEvents(lines(Object.values(LEAKS).map((leak) => ({ ...EVENTS.leak, leak }))));
  });

  for (const [kind, event] of Object.entries(EVENTS)) {
    it(`refuses ${kind} with another version, or without a member that it needs`, () => {
      assert.throws(() => checkedEvents(lines([{ ...event, v: 2 }])), { name: 'AssertionError' });
      assert.throws(() => checkedEvents(lines([{ ...event, session: undefined }])), {
        name: 'AssertionError',
      });
      assert.throws(() => checkedEvents(lines([{ ...event, stranger: 1 }])), { name: 'AssertionError' });
    });
  }
});
