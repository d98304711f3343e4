/**
 * The machines for which the published package holds a build of the addon.
 * CommonJS, so that jest can load it as it is.
 *
 * @typedef {object} Target
 * @property {string} arch As in `process.arch`.
 * @property {string} triple Prefix of the compiler and the binary tools for it, where they are not this machine's own.
 * @property {string} machine What `readelf -h` calls it.
 * @property {string} loader File name of its dynamic loader, which addons that use thread-local memory need by name.
 */

/** @type {Readonly<Record<string, Target>>} */
const TARGETS = {
  'linux-x64': {
    arch: 'x64',
    triple: 'x86_64-linux-gnu',
    machine: 'Advanced Micro Devices X86-64',
    loader: 'ld-linux-x86-64.so.2',
  },
  'linux-arm64': { arch: 'arm64', triple: 'aarch64-linux-gnu', machine: 'AArch64', loader: 'ld-linux-aarch64.so.1' },
};

/** The addon, and the OpenMP runtime that lies beside it: a `node:slim` image has none. Its name is its SONAME. */
const ADDON = 'qarepvgg.node';
const OPENMP = 'libgomp.so.1';
/** What the compiler was, where the OpenMP runtime's source is, and the checksums. */
const BUILD_INFO = 'build-info.json';

/**
 * @param {string} name
 * @returns {Target}
 */
function targetNamed(name) {
  const target = TARGETS[name];
  if (!target) throw new Error(`target: expected one of ${Object.keys(TARGETS).join(', ')}, received ${name}`);
  return target;
}

/**
 * A program of the GNU tool chain for a target.
 * @param {Target} target
 * @param {string} program
 */
const toolFor = ({ arch, triple }, program) => (arch === process.arch ? program : `${triple}-${program}`);

/**
 * The folder, below the package's root, where `scripts/build-native.mjs` builds for a target.
 * @param {Target} target
 */
const buildFolder = ({ arch }) => (arch === process.arch ? 'build' : `build-${arch}`);

module.exports = { TARGETS, ADDON, OPENMP, BUILD_INFO, targetNamed, toolFor, buildFolder };
