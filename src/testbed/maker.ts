/** What a testbed needs of its provider. */
import type { Recorder } from '../events/recorder.ts';
import type { Leak } from '../leaks/leak.ts';
import type { Holder } from '../namespaces/holder.ts';
import type { Incarnation } from './incarnation.ts';
import type { IncarnationMaker } from './life.ts';
import type { CommitOptions, TestbedOptions } from './types.ts';

export interface TestbedMaker extends IncarnationMaker {
  readonly hostname: string;
  readonly options: TestbedOptions;
  readonly scratchDirectory: string;
  /** Of the testbeds that have events. */
  readonly recorders: Set<Recorder>;
  /** Aborted when all its testbeds are to end. */
  readonly ending: AbortSignal;
  holder(): Promise<Holder>;
  /** The name of the root filesystem; undefined when there is none. */
  rootName(): Promise<string | undefined>;
  leaks(incarnation: Incarnation): Promise<Leak[]>;
  commit(incarnation: Incarnation, image: CommitOptions): Promise<string>;
}
