/** A provider whose testbeds do nothing, and a session over streams in memory. */
import { PassThrough } from 'node:stream';
import sinon from 'sinon';
import type { Log } from '../../../src/log.ts';
import { serve } from '../../../src/protocol/server.ts';
import type { Snapshot } from '../../../src/testbed/snapshot.ts';
import type { CommitOptions, OpenTestbed, TestbedProvider } from '../../../src/testbed/types.ts';

export type FakeTestbed = sinon.SinonStubbedInstance<OpenTestbed> & OpenTestbed;

export function fakeTestbed() {
  return {
    scratchDirectory: '/tmp/scratch dir',
    executeCommand: ['/x/execute.sh', 'a,b', '%'],
    pid: 4242,
    run: sinon.stub<Parameters<OpenTestbed['run']>, ReturnType<OpenTestbed['run']>>().resolves({ status: 0 }),
    copyIn: sinon.stub<[Buffer, Buffer], Promise<void>>().resolves(),
    leaks: sinon.stub<[], Promise<[]>>().resolves([]),
    copyOut: sinon.stub<[Buffer, Buffer], Promise<void>>().resolves(),
    attach: sinon
      .stub<Parameters<OpenTestbed['attach']>, ReturnType<OpenTestbed['attach']>>()
      .resolves({ status: 0 }),
    shell: sinon.stub<Parameters<OpenTestbed['shell']>, Promise<number>>().resolves(0),
    ended: new Promise<void>(() => {}),
    snapshot: sinon.stub<[], Promise<Snapshot>>(),
    reboot: sinon.stub<Parameters<OpenTestbed['reboot']>, Promise<void>>().resolves(),
    revert: sinon.stub<[], Promise<void>>().resolves(),
    commit: sinon.stub<[CommitOptions], Promise<string>>(),
    close: sinon.stub<[], Promise<void>>().resolves(),
  };
}

export function fakeProvider(testbed: OpenTestbed = fakeTestbed()) {
  return {
    normalUser: sinon.stub<[], Promise<string | undefined>>().resolves('user'),
    startsServices: sinon.stub<[], Promise<boolean>>().resolves(true),
    open: sinon.stub<[], Promise<OpenTestbed>>().resolves(testbed),
    dispose: sinon.stub<[], Promise<void>>().resolves(),
  };
}

/** One session; `ended` gives its exit status, `output` and `told` what it has said so far. */
export function startSession(provider: TestbedProvider = fakeProvider(), ownNetwork = false) {
  const input = new PassThrough();
  const output = new PassThrough();
  const said: Buffer[] = [];
  output.on('data', (chunk: Buffer) => said.push(chunk));
  const told: string[] = [];
  const log: Log = { debugging: true, debug: () => {}, warn: (message) => told.push(message) };
  const stop = new AbortController();
  const ended = serve({ input, output, provider, ownNetwork, log, signal: stop.signal });
  return { input, output, stop, ended, told, said: () => Buffer.concat(said).toString('latin1') };
}

/** Sends all of `text` and then end of file. */
export async function converseWith(text: string | Buffer, provider?: TestbedProvider, ownNetwork = false) {
  const session = startSession(provider, ownNetwork);
  session.input.end(text);
  const status = await session.ended;
  return { status, output: session.said(), told: session.told };
}

/** A promise with its ends outside. */
export function deferred<T>() {
  let resolve: (value: T) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
