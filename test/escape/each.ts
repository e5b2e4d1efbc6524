/** A suite for each caller, with canaries. */
import type { Suite } from 'mocha';
import { Canaries } from './canaries.ts';
import { ROUNDS } from './tally.ts';
import { CALLERS, type Caller, World } from './world.ts';

export interface Scene {
  readonly world: World;
  readonly canaries: Canaries;
}

/** @param programs of test/escape/attacks, without `.c` */
export function forEachCaller(
  title: string,
  programs: readonly string[],
  body: (this: Suite, caller: Caller, scene: Scene) => void,
): void {
  describe(title, function () {
    this.timeout(120_000 + 60_000 * ROUNDS);
    let world: World | undefined;
    let canaries: Canaries | undefined;
    before(async () => {
      world = new World('victim', ...programs);
      canaries = await Canaries.start(world.folder, `${world.programs}/victim`);
    });
    after(async () => {
      await canaries?.end();
      world?.remove();
    });
    const scene: Scene = {
      get world() {
        if (world === undefined) throw new Error('there is no world before the tests');
        return world;
      },
      get canaries() {
        if (canaries === undefined) throw new Error('there are no canaries before the tests');
        return canaries;
      },
    };
    for (const caller of CALLERS) {
      describe(`for ${caller.name}`, function () {
        body.call(this, caller, scene);
      });
    }
  });
}
