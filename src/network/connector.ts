/** Networks as the testbed layer sees them: how the network namespace of a new pid 1 is connected and disconnected. */
import type { Holder } from '../namespaces/holder.ts';

/** Interfaces and helper processes of one set of namespaces. */
export interface Connection {
  /** Resolves when every interface and helper process is verified gone; to be called before pid 1 is ended. */
  end(): Promise<void>;
}

export interface Connector {
  /** Text for /etc/resolv.conf. */
  readonly resolvConf: string;
  /** Lines for /etc/hosts behind those of localhost. Default: the testbed's name at 127.0.1.1. */
  readonly hosts?: string;
  /** As `Holder.start` takes it. */
  readonly below?: number;
  /**
   * Connects the network namespace of a process that was started in the holder; undefined: nothing has to be.
   * @throws TestbedError
   */
  readonly connect: ((holder: Holder, pid: number) => Promise<Connection>) | undefined;
  /** Nothing more will be connected. */
  readonly release?: () => void;
}
