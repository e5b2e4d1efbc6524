/** What is done once: setup commands, the build, and the dependencies that tests have in common. */
import type { Words } from '../command-line/given.ts';
import type { Argv } from '../host.ts';
import type { Log } from '../log.ts';
import { buildPackage, type Package } from './building.ts';
import type { DriverEnd } from './driver.ts';
import {
  hasSetup,
  needsOwnSetup,
  passedWords,
  preparingWords,
  serverProgram,
  serverWords,
  setupWords,
} from './driver-words.ts';
import type { Folders } from './folders.ts';
import { type ImageOrder, LIST_RUN, type Prepared, prepareImage } from './image.ts';
import { Images } from './images.ts';
import type { TestResult } from './results.ts';
import type { Screen } from './screen.ts';
import { selectTests } from './selection.ts';
import { commonDepends, dependsOnAll, type Setting, type Unit, unitsOf } from './shares.ts';

export interface RunOrder {
  readonly words: Words;
  /** The options behind `--`. */
  readonly server: Words;
  readonly packages: readonly string[];
  readonly jobs: number;
  readonly folders: Folders;
  readonly screen: Screen;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Whether tests that need it can get a network of their own. */
  readonly privateNetworks: boolean;
}

/** A driver that ended before there was a test to run. */
export interface Failed {
  readonly kind: 'failed';
  readonly folder: string;
  readonly end: DriverEnd;
}

export interface Ready {
  readonly kind: 'ready';
  readonly package: Package;
  /** Directory of the driver that built it. */
  readonly folder: string;
  readonly units: readonly Unit[];
  readonly skipped: readonly TestResult[];
  args(setting: Setting): readonly string[];
  server(setting: Setting): Argv;
}

type Image = Extract<Prepared, { kind: 'image' }>;

export class Preparation {
  readonly #order: RunOrder;
  readonly #images: Images;
  readonly #usesImages: boolean;

  constructor(order: RunOrder) {
    this.#order = order;
    this.#images = new Images(order.server.one('arch'), serverProgram(), order.log);
    const { words, server } = order;
    this.#usesImages = !words.has('no-image') && !needsOwnSetup(words) && server.one('mode') !== 'copy';
  }

  /** @throws TestbedError, and the reason of an abort */
  async prepare(): Promise<Ready | Failed> {
    const { words, screen, folders, packages, signal, log, server, privateNetworks } = this.#order;
    const first = await this.#setUp();
    if (first?.kind === 'failed') return first;
    // Otherwise each driver does it.
    const setup = first?.restore ?? setupWords(words);
    screen.phase(`building ${packages.join(' ') || 'the working directory'} and reading its tests`);
    const folder = folders.next('build');
    const built = await buildPackage(
      {
        ...{ packages, folder, signal, temporary: folders.temporary },
        args: [...passedWords(words), ...setup, ...words.argv(['test-name'])],
        server: this.#server({}, first?.name),
      },
      log,
    );
    if (built.kind === 'failed') return { ...built, folder };
    const chosen = selectTests({
      ...{ tests: built.package.tests, skipped: built.package.skipped, privateNetworks },
      ...{ only: words.all('test-name'), without: words.all('skip-test') },
    });
    const given = chosen.run.filter(({ network }) => network === 'given');
    const common = commonDepends(given);
    const users = given.filter((test) => dependsOnAll(test, common)).length;
    const image =
      this.#usesImages && common.length > 0 && users > 1 && this.#pays(built.package)
        ? await this.#install(common, built.package, first, setup)
        : undefined;
    const networks = new Map(chosen.run.map(({ name, network }) => [name, network]));
    const units = unitsOf(chosen.run, (tests) => ({
      network: networks.get(tests[0]?.name ?? '') ?? 'given',
      prepared:
        image !== undefined &&
        tests.every((test) => networks.get(test.name) === 'given' && dependsOnAll(test, common)),
    }));
    const imageOf = (setting: Setting): Image | undefined => (setting.prepared ? image : first);
    return {
      ...{ kind: 'ready', package: built.package, folder, units, skipped: chosen.skipped },
      args: (setting) => [...passedWords(words), ...(imageOf(setting)?.restore ?? setupWords(words))],
      server: (setting) => [...serverProgram(), ...serverWords(server, setting, imageOf(setting)?.name)],
    };
  }

  dispose(): Promise<void> {
    return this.#images.removeAll();
  }

  /** Drivers since 6 install dependencies for each test, older ones once where tests have the same. */
  #pays({ version }: Package): boolean {
    return this.#order.jobs > 1 || Number.parseInt(version, 10) >= 6;
  }

  #server(setting: Partial<Setting>, image: string | undefined): Argv {
    return [...serverProgram(), ...serverWords(this.#order.server, setting, image)];
  }

  async #setUp(): Promise<Image | Failed | undefined> {
    const { words, screen } = this.#order;
    if (!this.#usesImages || !hasSetup(words)) return undefined;
    screen.phase('setting up a testbed');
    return this.#image('setup', {
      ...{ depends: [], debs: [], tree: undefined },
      args: [...preparingWords(words), ...LIST_RUN, ...setupWords(words)],
      server: this.#server({}, undefined),
    });
  }

  async #install(
    depends: readonly string[],
    { debs, tree }: Package,
    first: Image | undefined,
    setup: readonly string[],
  ): Promise<Image | undefined> {
    const { words, screen } = this.#order;
    screen.phase('installing what the tests depend on');
    const prepared = await this.#image('dependencies', {
      ...{ depends, debs, tree },
      args: [...preparingWords(words), ...LIST_RUN, ...setup],
      server: this.#server({}, first?.name),
    });
    // The drivers report what cannot be installed.
    return prepared?.kind === 'image' ? prepared : undefined;
  }

  async #image(
    what: string,
    order: Omit<ImageOrder, 'name' | 'folder' | 'temporary' | 'signal'>,
  ): Promise<Image | Failed | undefined> {
    const { folders, signal, log, screen } = this.#order;
    const folder = folders.next(what);
    const prepared = await prepareImage(
      { ...order, folder, temporary: folders.temporary, signal, name: this.#images.newName() },
      log,
    );
    if (prepared.kind === 'failed') return { ...prepared, folder };
    if (prepared.kind === 'image') return prepared;
    screen.warn(`each driver prepares its own testbeds: ${prepared.why}`);
    return undefined;
  }
}
