/**
 * What the published package may hold, and must.
 * CommonJS, so that jest can load it as it is.
 */

const { ADDON, BUILD_INFO, OPENMP } = require('./targets.cjs');

/** Each file of the package matches one of these. */
const ALLOWED = [
  /^(package\.json|README(\.zh-CN)?\.md|LICENSE|CHANGELOG\.md|CONTRIBUTING\.md|SECURITY\.md|THIRD_PARTY_NOTICES\.md)$/,
  /^licenses\/[\w.-]+\.txt$/,
  /^binding\.d\.ts$/,
  /^docs\/[\w-]+\.(md|svg|jpg)$/,
  /^examples\/[\w-]+\.mjs$/,
  /^examples\/data\/fashion-mnist\/[\w.-]+$/,
  /^examples\/images\/(ankle-boot\.png|astronaut\.jpg|README\.md)$/,
  /^examples\/(ablation(\/results)?|queue|deploy)\/[\w.-]+$/,
  /^models\/[\w-]+\.safetensors$/,
  // What it takes to build the addon.
  /^CMakeLists\.txt$/,
  /^scripts\/build-(native|ts)\.mjs$/,
  /^native\/(?!(test|bench|reference)\/)[\w/-]+\.(cc|h|inc|map|cmake)$/,
];

const REQUIRED = [
  'package.json',
  'README.md',
  'LICENSE',
  'CHANGELOG.md',
  'SECURITY.md',
  'THIRD_PARTY_NOTICES.md',
  'licenses/GPL-3.0.txt',
  'licenses/GCC-exception-3.1.txt',
  'binding.d.ts',
  'dist/qarepvgg.js',
  'dist/bundle.js',
  'dist/formats/onnx/bundle.js',
  'dist/formats/torch/bundle.js',
  'dist/graph/passes/bundle.js',
  'dist/graph/passes/integers/bundle.js',
  'dist/quant/bundle.js',
  'dist/serve/bundle.js',
  'dist/train/bundle.js',
  'dist/vision/bundle.js',
  'dist/index.d.ts',
  'dist/cli/index.js',
  'models/fashion-mnist.safetensors',
  'CMakeLists.txt',
  'native/addon.cc',
  'scripts/build-native.mjs',
  'scripts/build-ts.mjs',
];

/**
 * @param {readonly string[]} files of the package
 * @param {readonly string[]} targets
 * @param {readonly string[]} sources TypeScript files below lib/: what is compiled has a source, or it is of another day
 * @returns {string[]} problems
 */
function contentsProblems(files, targets, sources) {
  const binaries = targets.flatMap((target) =>
    [ADDON, OPENMP, BUILD_INFO].map((file) => `prebuilds/${target}/${file}`),
  );
  const compiled = sources.flatMap((source) => {
    const stem = `dist/${source.replace(/\.ts$/, '')}`;
    return [`${stem}.js`, `${stem}.d.ts`];
  });
  const unexpected = files.filter((file) =>
    file.startsWith('dist/')
      ? !compiled.includes(file) && !REQUIRED.includes(file)
      : !binaries.includes(file) && !ALLOWED.some((pattern) => pattern.test(file)),
  );
  const missing = [...REQUIRED, ...binaries, ...compiled].filter((file) => !files.includes(file));
  return [
    ...unexpected.map((file) => `${file} does not belong there`),
    ...[...new Set(missing)].map((file) => `${file} is missing`),
  ];
}

module.exports = { contentsProblems };
