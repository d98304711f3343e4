/** @type {import('jest').Config} */
module.exports = {
  testEnvironment: 'node',
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  setupFiles: ['<rootDir>/test/setup.ts'],
  transform: {
    '\\.ts$': [
      '@swc/jest',
      {
        jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
        module: { type: 'commonjs' },
      },
    ],
  },
  // Dynamic imports name the compiled file.
  moduleNameMapper: { '^(\\./[a-z-]+)\\.js$': ['$1', '$1.js'] },
  // Property tests run thousands of shapes in one test; on a loaded two-core machine that takes a while.
  testTimeout: 120_000,
};
