import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/examples/vitest.example.ts'],
    // The project's own sources in place of an installed package.
    alias: { 'virt-ts-unshare': fileURLToPath(new URL('../../src/index.ts', import.meta.url)) },
  },
});
