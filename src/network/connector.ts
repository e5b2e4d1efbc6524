/** Networks as the testbed layer sees them. */
import type { Holder } from '../namespaces/holder.ts';

export interface Connection {
  /** Resolves when every interface and helper process is gone; to be called before pid 1 is ended. */
  end(): Promise<void>;
}

export interface Connector {
  readonly resolvConf: string;
  readonly hosts?: string;
  /** As `Holder.start` takes it. */
  readonly below?: number;
  /**
   * Connects the network namespace of a process in the holder, until `signal` is aborted; undefined: nothing to connect.
   * @throws TestbedError, or the reason of the abort
   */
  readonly connect: ((holder: Holder, pid: number, signal: AbortSignal) => Promise<Connection>) | undefined;
  readonly release?: () => void;
}
