// Mocha's usual report, and at the end its counts and failures in the file that VIRT_TS_UNSHARE_TEST_COUNTS names, for
// scripts/run-checks.js.
const { writeFileSync } = require('node:fs');
const { reporters } = require('mocha');

/** So many lines of an error are repeated at the end of all checks. */
const LINES = 12;

module.exports = class CountReporter extends reporters.Spec {
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
    writeFileSync(
      path,
      JSON.stringify({ passed: passes, failed: failures, skipped: pending, failures: failed }),
    );
  }
};
