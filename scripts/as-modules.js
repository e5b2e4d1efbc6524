// Makes mocha load tests by import() as their own lazy imports are loaded. With require(), tsx makes a second form of each
// file, and V8 adds the counts of both up as if they were the same text.
Object.defineProperty(process.features, 'require_module', { value: false });
