/**
 * The bill of materials of a release (CycloneDX): what npm says of the packages, and the native parts, which it cannot know.
 * CommonJS, so that jest can load it as it is.
 *
 * @typedef {object} Component
 * @property {string} name
 * @property {string} version
 * @property {string} [type]
 * @property {string} [purl]
 * @property {{ license?: { id?: string }, expression?: string }[]} [licenses]
 *
 * @typedef {object} Bill
 * @property {{ component: Component }} metadata
 * @property {Component[]} components
 * @property {{ ref: string, dependsOn: string[] }[]} dependencies
 */

/** Licences that a run-time dependency may have. */
const PERMISSIVE = ['MIT', 'ISC', 'BSD-2-Clause', 'BSD-3-Clause', 'Apache-2.0', '(Apache-2.0 AND BSD-3-Clause)'];

/**
 * @param {Bill} bill of an application that depends on the package alone, from `npm sbom --sbom-format cyclonedx`
 * @param {string} name of the package
 * @param {readonly Component[]} native
 * @returns {Bill}
 */
function billOfPackage(bill, name, native) {
  const component = bill.components.find((one) => one.name === name);
  if (!component) throw new Error(`bill of materials: expected a component ${name}, found none`);
  const application = bill.metadata.component.name;
  return {
    ...bill,
    metadata: { ...bill.metadata, component },
    components: [...bill.components.filter((one) => one !== component), ...native],
    dependencies: bill.dependencies.filter(({ ref }) => !ref.startsWith(`${application}@`)),
  };
}

/**
 * The OpenMP runtime of one target, and the header files that are compiled into the addon.
 * @param {string} openmp its package and version, as in build-info.json: 'libgomp1 12.2.0-14'
 * @param {Readonly<Record<string, string>>} headers versions of header-only packages by name
 * @returns {Component[]}
 */
function nativeComponents(openmp, headers) {
  const [name = '', version = ''] = openmp.split(' ');
  const gcc = { type: 'library', version, licenses: [{ expression: 'GPL-3.0-or-later WITH GCC-exception-3.1' }] };
  return [
    { ...gcc, name, purl: `pkg:deb/debian/${name}@${version}` },
    ...Object.entries(headers).map(([name, version]) => ({
      type: 'library',
      name,
      version,
      purl: `pkg:npm/${name}@${version}`,
      licenses: [{ license: { id: 'MIT' } }],
    })),
  ];
}

/**
 * @param {Bill} bill as npm wrote it, before native parts
 * @returns {string[]} problems: components with a licence that is unknown or asks for more than a notice
 */
function licenceProblems(bill) {
  return bill.components.flatMap(({ name, licenses = [] }) => {
    const found = licenses.map(({ license, expression }) => license?.id ?? expression ?? 'unknown');
    return found.length > 0 && found.every((id) => PERMISSIVE.includes(id))
      ? []
      : [`${name}: licence ${found.join(', ') || 'unknown'}`];
  });
}

module.exports = { billOfPackage, licenceProblems, nativeComponents };
