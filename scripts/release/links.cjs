/**
 * Links in the documents of the package. Whoever reads them in node_modules has nothing but the package.
 * CommonJS, so that jest can load it as it is.
 */

const { posix } = require('node:path');

/** [text](target), ![text](target), [name]: target, and HTML's href and src. */
const LINK = /\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]:\s+(\S+)|\b(?:href|src)="([^"]+)"/gm;

/** What stands in code is no link. */
const CODE = /^(```|~~~)[\s\S]*?^\1|`[^`\n]*`/gm;

/**
 * @param {readonly string[]} files of the package
 * @param {(file: string) => string} read
 * @returns {string[]} problems
 */
function brokenLinks(files, read) {
  const folders = new Set(files.flatMap((file) => parents(file)));
  return files
    .filter((file) => file.endsWith('.md'))
    .flatMap((file) => {
      const targets = [...read(file).replace(CODE, '').matchAll(LINK)].map((match) => match[1] ?? match[2] ?? match[3]);
      const missing = [...new Set(targets)].filter((target) => {
        if (target === undefined || /^([a-z][a-z+.-]*:|#|\/\/)/i.test(target)) return false;
        const path = posix.join(posix.dirname(file), decodeURI(target.replace(/[#?].*$/, '')));
        return !files.includes(path) && !folders.has(path.replace(/\/$/, ''));
      });
      return missing.map((target) => `${file} links to ${target}, which the package lacks`);
    });
}

/** @param {string} file @returns {string[]} */
function parents(file) {
  const folder = posix.dirname(file);
  return folder === '.' ? [] : [folder, ...parents(folder)];
}

module.exports = { brokenLinks };
