/**
 * Which incarnation a testbed has at present, over which layers: from open to close, through reverts, reboots and
 * snapshots. docs/architecture.md has the picture.
 */
import { messageOf, TestbedError } from '../errors.ts';
import type { Log } from '../log.ts';
import { type Instance, REBOOTED } from '../namespaces/instance.ts';
import { within } from '../wait.ts';
import type { Incarnation } from './incarnation.ts';
import type { Layer } from './layer.ts';
import { Snapshot } from './snapshot.ts';
import type { Place, Standby } from './standby.ts';

/** Milliseconds until the holder has reported the end of a pid 1 that is gone. */
const REPORT_LIMIT = 1_000;
/** Milliseconds after a revert. */
const STANDBY_DELAY = 20;

const CLOSED = { code: 'CLOSED', remedy: 'open it first' };

export interface IncarnationMaker {
  readonly log: Log;
  /** Without a layer in the place: over a new one on the root filesystem. */
  incarnate(place: Place): Promise<Incarnation>;
  /** One that no other open testbed of this maker has. */
  takeName(): TakenName;
  /** Makes an incarnation ahead, over a frozen layer or the root filesystem, where that is of use. */
  standBy(over: Layer | undefined): Promise<Standby | undefined>;
  /** @throws TestbedError when the kernel takes no layer over this one */
  checkRoomOver(layer: Layer): Promise<void>;
}

/** Gets each reboot, also those from inside. */
export interface RebootRecorder {
  operation(
    facts: () => { event: 'reboot'; by: 'caller' | 'testbed' },
    work: () => Promise<void>,
  ): Promise<void>;
}

export interface TakenName {
  readonly name: string;
  /** May be called twice. */
  free(): void;
}

export interface Opening {
  readonly from?: Snapshot | undefined;
  /** Its abort ends the opening, and all of it is gone. */
  readonly signal?: AbortSignal | undefined;
}

interface Beginning {
  readonly taken: TakenName;
  readonly incarnation: Incarnation;
  readonly over: Layer | undefined;
  readonly recorder: RebootRecorder | undefined;
}

export class Life {
  /** Resolves when it is closed, or pid 1 has ended in another way than by a reboot. */
  readonly ended: Promise<void>;
  #tellEnded: () => void = () => {};
  readonly #taken: TakenName;
  readonly #maker: IncarnationMaker;
  #incarnation: Incarnation | undefined;
  #rebooting: Promise<void> | undefined;
  /** What a revert goes back to: the frozen layer of a snapshot, of which this is a user, or the root filesystem. */
  #over: Layer | undefined;
  #standby: Promise<Standby | undefined> | undefined;
  #standbyTimer: NodeJS.Timeout | undefined;
  readonly #recorder: RebootRecorder | undefined;
  /** Resolves when the last change is done. */
  #changed: Promise<unknown> = Promise.resolve();

  private constructor(maker: IncarnationMaker, { taken, incarnation, over, recorder }: Beginning) {
    this.#taken = taken;
    this.#maker = maker;
    this.#recorder = recorder;
    this.ended = new Promise((resolve) => {
      this.#tellEnded = resolve;
    });
    this.#begin(incarnation);
    this.#over = over;
  }

  /** @throws TestbedError, the reason of the signal */
  static async begin(
    maker: IncarnationMaker,
    { from, recorder, signal }: Opening & { readonly recorder?: RebootRecorder | undefined } = {},
  ): Promise<Life> {
    const over = from?.layer;
    over?.keep();
    const taken = maker.takeName();
    try {
      const incarnation = await maker.incarnate({ name: taken.name, over, signal });
      return new Life(maker, { taken, incarnation, over, recorder });
    } catch (error) {
      taken.free();
      await over?.release().catch(() => {});
      throw error;
    }
  }

  /** @throws TestbedError when the testbed is closed */
  get incarnation(): Incarnation {
    if (this.#incarnation === undefined) throw new TestbedError('the testbed is closed', CLOSED);
    return this.#incarnation;
  }

  /** As `ps` shows it. */
  get name(): string {
    return this.#taken.name;
  }

  get isOpen(): boolean {
    return this.#incarnation !== undefined;
  }

  /** Changes come one after the other, so that a close also ends what a revert before it has made. */
  #change<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#changed.then(work);
    this.#changed = done.catch(() => {});
    return done;
  }

  reboot(by: 'caller' | 'testbed' = 'caller'): Promise<void> {
    const ended = by === 'testbed' ? this.#incarnation : undefined;
    const work = () => this.#change(() => this.#bootAgain(ended));
    this.#rebooting ??= (this.#recorder?.operation(() => ({ event: 'reboot', by }), work) ?? work()).finally(
      () => {
        this.#rebooting = undefined;
      },
    );
    return this.#rebooting;
  }

  /** @param ended an incarnation that has ended by a reboot from inside; nothing is to be done when another has replaced it */
  async #bootAgain(ended: Incarnation | undefined): Promise<void> {
    if (ended !== undefined && this.#incarnation !== ended) return;
    const old = this.#take('reboot');
    const { layer, report, instance } = old;
    try {
      await old.shutDown();
      await old.end({ keepLayer: true, keepReport: true });
      const before = { mark: instance.mark, report };
      this.#begin(await this.#maker.incarnate({ name: this.name, layer, before }));
    } catch (error) {
      report?.close();
      await layer.release().catch(() => {});
      throw error;
    }
  }

  #begin(incarnation: Incarnation): void {
    this.#incarnation = incarnation;
    void incarnation.instance.ended.then((status) => {
      if (this.#incarnation !== incarnation) return;
      if (status !== REBOOTED) return this.#tellEnded();
      this.reboot('testbed').catch((error: unknown) => {
        this.#maker.log.warn(messageOf(error));
        this.#tellEnded();
      });
    });
  }

  /** Waits for the end of a reboot, also of one that began inside. */
  async booted(): Promise<void> {
    const { instance } = this.#incarnation ?? {};
    if (instance !== undefined && !instance.alive) await isRebooted(instance);
    // What follows reports that the testbed is closed.
    await this.#rebooting?.catch(() => {});
  }

  revert(): Promise<void> {
    return this.#change(() => this.#revert());
  }

  async #revert(): Promise<void> {
    const old = this.#take('revert');
    const standby = await this.#takeStandby();
    if (old.mustEndFirst) await old.end();
    // Else both may exist: they share only the read-only base.
    const [fresh, ended] = await Promise.allSettled([
      this.#maker.incarnate({ name: this.name, over: this.#over, standby }),
      old.mustEndFirst ? undefined : old.end(),
    ]);
    if (fresh.status === 'fulfilled') this.#begin(fresh.value);
    if (ended.status === 'rejected') throw ended.reason;
    if (fresh.status === 'rejected') throw fresh.reason;
    // A testbed that was reverted is mostly reverted again.
    this.#standbyTimer = setTimeout(() => {
      this.#standby = this.#maker.standBy(this.#over);
      this.#standby.catch(() => {});
    }, STANDBY_DELAY).unref();
  }

  /** Gives what was made ahead for the next revert. The caller uses or ends it. */
  async #takeStandby(): Promise<Standby | undefined> {
    clearTimeout(this.#standbyTimer);
    const standby = this.#standby;
    this.#standby = undefined;
    return standby?.catch(() => undefined);
  }

  /** @throws TestbedError when the kernel takes no further layer */
  async checkRoom(): Promise<void> {
    await this.#maker.checkRoomOver(this.incarnation.layer);
  }

  snapshot(): Promise<Snapshot> {
    return this.#change(() => this.#snapshot());
  }

  async #snapshot(): Promise<Snapshot> {
    const old = this.#take('snapshot');
    const { layer } = old;
    const standby = await this.#takeStandby();
    await standby?.end();
    try {
      // A layer must not be below another one while an overlay has it as its upper layer.
      await old.end({ keepLayer: true });
      this.#begin(await this.#maker.incarnate({ name: this.name, over: layer }));
    } catch (error) {
      await layer.release().catch(() => {});
      throw error;
    }
    const before = this.#over;
    this.#over = layer;
    layer.keep();
    await before?.release();
    return new Snapshot(layer);
  }

  close(): Promise<void> {
    return this.#change(() => this.#close());
  }

  async #close(): Promise<void> {
    const [old, over] = [this.#incarnation, this.#over];
    this.#incarnation = undefined;
    this.#over = undefined;
    this.#tellEnded();
    const ends = await Promise.allSettled([
      old?.end(),
      this.#takeStandby().then((standby) => standby?.end()),
    ]);
    this.#taken.free();
    await over?.release();
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }

  #take(what: string): Incarnation {
    const incarnation = this.#incarnation;
    if (incarnation === undefined) throw new TestbedError(`${what}: the testbed is closed`, CLOSED);
    this.#incarnation = undefined;
    return incarnation;
  }
}

/** Whether the end of pid 1 was a reboot from inside. */
export async function isRebooted({ ended }: Instance): Promise<boolean> {
  return (await within(ended, REPORT_LIMIT)) && (await ended) === REBOOTED;
}
