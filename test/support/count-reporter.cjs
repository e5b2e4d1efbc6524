// Mocha's usual report, and at the end its counts and failures in the file that VIRT_TS_UNSHARE_TEST_COUNTS names, for
// scripts/run-checks.js.
const { writeFileSync } = require('node:fs');
const { relative } = require('node:path');
const { Runner, reporters } = require('mocha');

/** So many lines of an error are repeated at the end of all checks. */
const LINES = 12;

module.exports = class CountReporter extends reporters.Spec {
  /** Milliseconds of the tests and hooks of each file. */
  files = new Map();

  constructor(runner, options) {
    super(runner, options);
    for (const event of [Runner.constants.EVENT_TEST_END, Runner.constants.EVENT_HOOK_END])
      runner.on(event, ({ file, duration }) => {
        if (file && duration) this.files.set(file, (this.files.get(file) ?? 0) + duration);
      });
  }

  epilogue() {
    super.epilogue();
    const path = process.env.VIRT_TS_UNSHARE_TEST_COUNTS;
    if (!path) return;
    const { passes, failures, pending } = this.stats;
    const failed = this.failures.map((test) => ({
      title: test.titlePath().join(' › '),
      error: String(test.err?.stack ?? test.err)
        .split('\n')
        .slice(0, LINES),
    }));
    const files = [...this.files].map(([file, duration]) => ({ file: relative('', file), duration }));
    writeFileSync(
      path,
      JSON.stringify({ passed: passes, failed: failures, skipped: pending, failures: failed, files }),
    );
  }
};
