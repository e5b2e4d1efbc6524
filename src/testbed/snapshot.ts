import { TestbedError } from '../errors.ts';
import type { Layer } from './layer.ts';

/** The files of a testbed at one moment. Its layer is dropped when it is disposed and no testbed is over it. */
export class Snapshot {
  readonly #layer: Layer;
  #isDisposed = false;

  /** @param layer frozen: no incarnation is over it. The snapshot is one of its users. */
  constructor(layer: Layer) {
    this.#layer = layer;
  }

  /** @throws TestbedError */
  get layer(): Layer {
    if (this.#isDisposed || this.#layer.dropped) {
      throw new TestbedError('the snapshot is disposed', {
        code: 'DISPOSED',
        remedy: 'dispose it only after the last testbed from it was opened',
      });
    }
    return this.#layer;
  }

  async dispose(): Promise<void> {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    await this.#layer.release();
  }
}
