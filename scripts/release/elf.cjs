/**
 * Reads what `readelf -h -d -n -W --dyn-syms` prints of a shared library, and says what of it is not as meant.
 * CommonJS, so that jest can load it as it is.
 *
 * @typedef {object} Library
 * @property {string} machine
 * @property {string | undefined} soname
 * @property {string[]} needed Libraries that the loader must find.
 * @property {string | undefined} runpath
 * @property {boolean} noDelete Whether it stays loaded until the process ends.
 * @property {string | undefined} buildId
 * @property {string[]} exported Names that it defines for others.
 * @property {string[]} versions Versions of symbols that it wants of others, such as GLIBC_2.34.
 */

/** What Node-API asks of an addon, and nothing else. */
const EXPORTS = ['napi_register_module_v1', 'node_api_module_get_api_version_v1'];

/** Libraries of the system that a machine with Node has, beside the dynamic loader. */
const SYSTEM_LIBRARIES = ['libc.so.6', 'libm.so.6', 'libgcc_s.so.1', 'libstdc++.so.6', 'libpthread.so.0', 'libdl.so.2'];

/**
 * @param {string} text
 * @returns {Library}
 */
function parseLibrary(text) {
  /** @param {RegExp} pattern */
  const first = (pattern) => pattern.exec(text)?.[1];
  /** @param {RegExp} pattern */
  const all = (pattern) => Array.from(text.matchAll(pattern), ([, found = '']) => found);
  // Num: Value Size Type Bind Vis Ndx Name[@Version (n)]; an index of UND means that another library defines it.
  const symbols = all(/^\s*\d+: [0-9a-f]+ +\S+ +\w+ +(?:GLOBAL|WEAK) +\w+ +(\S+ +\S+)/gm).map((row) => row.split(/ +/));
  const versions = symbols.filter(([index]) => index === 'UND').map(([, name = '']) => name.split('@').at(-1) ?? '');
  return {
    machine: first(/^\s*Machine: +(.*)$/m) ?? '',
    soname: first(/\(SONAME\).*\[(.*)\]/),
    needed: all(/\(NEEDED\).*\[(.*)\]/g),
    runpath: first(/\(RUNPATH\).*\[(.*)\]/),
    noDelete: /\(FLAGS_1\).*\bNODELETE\b/.test(text),
    buildId: first(/Build ID: ([0-9a-f]+)/),
    exported: symbols.filter(([index]) => index !== 'UND').map(([, name = '']) => name),
    versions: [...new Set(versions.filter((version) => /_\d/.test(version)))],
  };
}

/**
 * The highest version of one name, such as '2.34' of 'GLIBC'; undefined where none is wanted.
 * @param {readonly string[]} versions
 * @param {string} name
 * @returns {string | undefined}
 */
function highest(versions, name) {
  const numbers = versions.filter((version) => version.startsWith(`${name}_`)).map((one) => one.slice(name.length + 1));
  return numbers.sort(compareVersions).at(-1);
}

/**
 * Below zero where `a` is the older one.
 * @param {string} a
 * @param {string} b
 */
const compareVersions = (a, b) => a.localeCompare(b, 'en', { numeric: true });

/**
 * How the addon must be linked: it stays loaded, since its threads do; it finds the OpenMP runtime beside it; it exports its
 * entry points only.
 * @param {Library} addon
 * @returns {string[]} problems
 */
function linkProblems({ runpath, noDelete, exported }) {
  const problems = [];
  if (!noDelete) problems.push('NODELETE is not set');
  if (runpath !== '$ORIGIN') problems.push(`expected RUNPATH $ORIGIN, found ${runpath ?? 'none'}`);
  const names = [...exported].sort();
  if (names.join() !== EXPORTS.join())
    problems.push(`expected exports ${EXPORTS.join(', ')}, found ${names.join(', ')}`);
  return problems;
}

/**
 * Libraries that the addon needs beyond those of the system, the dynamic loader and the OpenMP runtime that is shipped.
 * @param {Library} addon
 * @param {string} loader
 * @param {string} openmp
 * @returns {string[]} problems
 */
function neededProblems({ needed }, loader, openmp) {
  const allowed = [...SYSTEM_LIBRARIES, loader, openmp];
  const problems = needed.filter((name) => !allowed.includes(name)).map((name) => `needs ${name}`);
  if (!needed.includes(openmp)) problems.push(`does not need ${openmp}`);
  return problems;
}

/**
 * Versions of symbols above those that are promised.
 * @param {Library} library
 * @param {Readonly<Record<string, string>>} promised highest version by name
 * @returns {string[]} problems
 */
function versionProblems({ versions }, promised) {
  return Object.entries(promised).flatMap(([name, most]) => {
    const found = highest(versions, name);
    return found !== undefined && compareVersions(found, most) > 0
      ? [`expected at most ${name}_${most}, needs ${found}`]
      : [];
  });
}

module.exports = { compareVersions, highest, linkProblems, neededProblems, parseLibrary, versionProblems };
