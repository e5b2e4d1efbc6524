import assert from 'node:assert/strict';
import { closeSync, readdirSync } from 'node:fs';
import { PassThrough, Readable } from 'node:stream';
import { Pipes } from '../../../src/library/fifos.ts';
import { feed, inputPipe, makeWires, outputPipe } from '../../../src/library/wires.ts';
import { silentLog } from '../../../src/log.ts';

const descriptors = () => readdirSync('/proc/self/fd').length;

describe('the descriptors of a command', () => {
  it('are all closed when one of them cannot be made', async () => {
    const pipes = new Pipes(silentLog);
    const one = await pipes.take();
    for (const descriptor of [one.read, one.write]) closeSync(descriptor);
    const before = descriptors();
    const broken = async () => {
      throw new Error('no descriptor is left');
    };
    await assert.rejects(
      makeWires(
        () => inputPipe(pipes),
        () => outputPipe(pipes),
        broken,
      ),
      /no descriptor is left/,
    );
    // Node closes what a stream had in a later turn of its loop.
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    assert.equal(descriptors(), before - 4, 'two pipes were taken, and both ends of them are closed');
    pipes.close();
  });

  it('are not made when the testbed is closed', async () => {
    const pipes = new Pipes(silentLog);
    pipes.close();
    await assert.rejects(pipes.take(), { code: 'CLOSED' });
  });
});

describe('what a command is fed with', () => {
  it('fails by the source only', async () => {
    const cause = new Error('the disk is gone');
    const broken = new Readable({ read: () => broken.destroy(cause) });
    await assert.rejects(feed(new PassThrough(), { stdin: broken }), cause);

    const destroyed = new Readable({ read: () => {} });
    destroyed.destroy();
    await assert.rejects(feed(new PassThrough(), { stdin: destroyed }));

    const ours = new PassThrough();
    const feeding = feed(ours, { stdin: new Readable({ read() {} }) });
    ours.destroy(new Error('EPIPE'));
    await feeding;
  });

  it('may be a stream of another library, of which a command does not read all', async () => {
    const other = Object.defineProperty(new Readable({ read() {} }), 'errored', { value: undefined });
    const ours = new PassThrough();
    const feeding = feed(ours, { stdin: other });
    ours.destroy();
    await feeding;
  });

  it('may be at its end already', async () => {
    const ended = Readable.from(['x']);
    for await (const _ of ended);
    const ours = new PassThrough();
    await feed(ours, { stdin: ended });
    assert.equal(ours.readableLength, 0);
  });
});
