/**
 * Whether the changelog speaks of the version in package.json.
 * CommonJS, so that jest can load it as it is.
 */

/**
 * @param {string} changelog
 * @param {string} version
 * @param {boolean} publish whether it must have a date: until then it is `unreleased`
 * @returns {string[]} problems
 */
function changelogProblems(changelog, version, publish) {
  const heading = /^## \[(.+?)\] - (unreleased|\d{4}-\d{2}-\d{2})$/m.exec(changelog);
  if (!heading) return ['expected a heading like "## [1.2.3] - 2026-01-31" or "## [1.2.3] - unreleased"'];
  const [, newest, date] = heading;
  const problems = [];
  if (newest !== version) problems.push(`expected the newest version to be ${version}, found ${newest}`);
  if (publish && date === 'unreleased') problems.push(`${newest} has no date`);
  return problems;
}

module.exports = { changelogProblems };
