// Mocha's usual report, and at the end its counts in the file that VIRT_TS_UNSHARE_TEST_COUNTS names, for scripts/run-checks.js.
const { writeFileSync } = require('node:fs');
const { reporters } = require('mocha');

module.exports = class CountReporter extends reporters.Spec {
  epilogue() {
    super.epilogue();
    const { passes, failures, pending } = this.stats;
    const path = process.env.VIRT_TS_UNSHARE_TEST_COUNTS;
    if (path) writeFileSync(path, JSON.stringify({ passed: passes, failed: failures, skipped: pending }));
  }
};
