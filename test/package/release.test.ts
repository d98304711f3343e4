import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { billOfPackage, licenceProblems, nativeComponents } from '../../scripts/release/bill-of-materials.cjs';
import { changelogProblems } from '../../scripts/release/changelog.cjs';
import { contentsProblems } from '../../scripts/release/contents.cjs';
import { highest, linkProblems, neededProblems, parseLibrary, versionProblems } from '../../scripts/release/elf.cjs';
import { brokenLinks } from '../../scripts/release/links.cjs';
import { root } from '../support/child';

describe('shared libraries', () => {
  // What `readelf -h -d -n -W --dyn-syms` prints, shortened.
  const addon = parseLibrary(`
ELF Header:
  Class:                             ELF64
  Machine:                           AArch64

Dynamic section at offset 0x1cccc8 contains 32 entries:
  Tag        Type                         Name/Value
 0x0000000000000001 (NEEDED)             Shared library: [libgomp.so.1]
 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]
 0x0000000000000001 (NEEDED)             Shared library: [ld-linux-aarch64.so.1]
 0x000000000000000e (SONAME)             Library soname: [qarepvgg.node]
 0x000000000000001d (RUNPATH)            Library runpath: [$ORIGIN]
 0x000000006ffffffb (FLAGS_1)            Flags: NOW NODELETE

Symbol table '.dynsym' contains 8 entries:
   Num:    Value          Size Type    Bind   Vis      Ndx Name
     0: 0000000000000000     0 NOTYPE  LOCAL  DEFAULT  UND 
     1: 0000000000000000     0 NOTYPE  GLOBAL DEFAULT  UND napi_create_promise
     2: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND pow@GLIBC_2.29 (3)
     3: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND memcpy@GLIBC_2.4 (5)
     4: 0000000000000000     0 FUNC    WEAK   DEFAULT  UND _Znam@GLIBCXX_3.4.29 (2)
     5: 0000000000000000     0 NOTYPE  WEAK   DEFAULT  UND __gmon_start__
     6: 000000000001f000    12 FUNC    GLOBAL DEFAULT   12 node_api_module_get_api_version_v1
     7: 000000000001f00c    92 FUNC    GLOBAL DEFAULT   12 napi_register_module_v1

Displaying notes found in: .note.gnu.build-id
  Owner                Data size 	Description
  GNU                  0x00000014	NT_GNU_BUILD_ID (unique build ID bitstring)	    Build ID: 9f5e830847f3
`);

  test('are read', () => {
    expect(addon).toEqual({
      machine: 'AArch64',
      soname: 'qarepvgg.node',
      needed: ['libgomp.so.1', 'libc.so.6', 'ld-linux-aarch64.so.1'],
      runpath: '$ORIGIN',
      noDelete: true,
      buildId: '9f5e830847f3',
      exported: ['node_api_module_get_api_version_v1', 'napi_register_module_v1'],
      versions: ['GLIBC_2.29', 'GLIBC_2.4', 'GLIBCXX_3.4.29'],
    });
  });

  test('are linked as meant, or not', () => {
    expect(linkProblems(addon)).toEqual([]);
    expect(linkProblems({ ...addon, noDelete: false })).toEqual(['NODELETE is not set']);
    expect(linkProblems({ ...addon, runpath: undefined })).toEqual(['expected RUNPATH $ORIGIN, found none']);
    expect(linkProblems({ ...addon, exported: [...addon.exported, 'gomp_x'] })[0]).toContain('gomp_x');
    expect(linkProblems({ ...addon, exported: [] })).toHaveLength(1);
  });

  test('need what a machine with Node has, and what is shipped', () => {
    expect(neededProblems(addon, 'ld-linux-aarch64.so.1', 'libgomp.so.1')).toEqual([]);
    expect(neededProblems(addon, 'ld-linux-x86-64.so.2', 'libgomp.so.1')).toEqual(['needs ld-linux-aarch64.so.1']);
    const other = { ...addon, needed: ['libomp.so.5'] };
    expect(neededProblems(other, '', 'libgomp.so.1')).toEqual(['needs libomp.so.5', 'does not need libgomp.so.1']);
  });

  test('versions are numbers, not text', () => {
    expect(highest(addon.versions, 'GLIBC')).toBe('2.29');
    expect(highest(addon.versions, 'GLIBCXX')).toBe('3.4.29');
    expect(highest(addon.versions, 'CXXABI')).toBeUndefined();
    expect(versionProblems(addon, { GLIBC: '2.29', GLIBCXX: '3.4.30', CXXABI: '1.3' })).toEqual([]);
    expect(versionProblems(addon, { GLIBC: '2.3' })).toEqual(['expected at most GLIBC_2.3, needs 2.29']);
  });
});

describe('contents of the package', () => {
  const rest = `package.json README.md LICENSE CHANGELOG.md SECURITY.md THIRD_PARTY_NOTICES.md licenses/GPL-3.0.txt
    licenses/GCC-exception-3.1.txt binding.d.ts models/fashion-mnist.safetensors CMakeLists.txt native/addon.cc
    scripts/build-native.mjs scripts/build-ts.mjs`.split(/\s+/);
  const sources = ['index.ts', 'cli/index.ts'];
  const dist = `dist/qarepvgg.js dist/bundle.js dist/formats/onnx/bundle.js dist/formats/torch/bundle.js
    dist/graph/passes/bundle.js dist/graph/passes/integers/bundle.js dist/quant/bundle.js dist/serve/bundle.js
    dist/train/bundle.js dist/vision/bundle.js
    dist/index.js dist/index.d.ts dist/cli/index.js dist/cli/index.d.ts`.split(/\s+/);
  const prebuilds = ['qarepvgg.node', 'libgomp.so.1', 'build-info.json'].map((file) => `prebuilds/linux-x64/${file}`);
  const complete = [...rest, ...dist, ...prebuilds];
  const problems = (files: readonly string[]) => contentsProblems(files, ['linux-x64'], sources);

  test('complete', () => {
    expect(problems(complete)).toEqual([]);
    expect(problems([...complete, 'native/kernels/float/neon.cc', 'native/toolchains/linux-arm64.cmake'])).toEqual([]);
  });

  test.each(complete)('without %s', (file) => {
    expect(problems(complete.filter((one) => one !== file))).toEqual([`${file} is missing`]);
  });

  test.each([
    'dist/removed-last-week.js',
    'dist/index.js.map',
    'prebuilds/linux-x64/core',
    'prebuilds/linux-arm64/qarepvgg.node',
    'native/test/base_test.cc',
    'native/kernels/notes.txt',
    'models/private.pt',
    '.npmrc',
    'binding.gyp',
  ])('with %s', (file) => {
    expect(problems([...complete, file])).toEqual([`${file} does not belong there`]);
  });
});

describe('links of the documents', () => {
  const problems = (text: string, ...files: string[]) =>
    brokenLinks(['docs/a.md', ...files], (file) => (file === 'docs/a.md' ? text : ''));

  test.each([
    '[b](b.md)',
    '![b](b.svg "a picture")',
    '[b](../README.md#install)',
    '<img src="b.svg">',
    '[b]\n\n[b]: b.md',
    '[folder](../examples/)',
  ])('%s', (text) => {
    expect(problems(text)).toEqual([expect.stringMatching(/^docs\/a\.md links to .*, which the package lacks$/)]);
    expect(problems(text, 'docs/b.md', 'docs/b.svg', 'README.md', 'examples/x.mjs')).toEqual([]);
  });

  test.each([
    '[b](https://example.com/b.md)',
    '[b](#below)',
    '`[b](b.md)`',
    '```\n[b](b.md)\n```',
    '[b](mailto:a@b.c)',
  ])('%s is none to a file', (text) => expect(problems(text)).toEqual([]));

  test('all lead to files that the package has', () => {
    const packed = spawnSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
      cwd: root,
      encoding: 'utf8',
    });
    const [{ files }] = JSON.parse(packed.stdout) as [{ files: { path: string }[] }];
    const paths = files.map(({ path }) => path);
    expect(paths).toContain('README.md');
    expect(brokenLinks(paths, (file) => readFileSync(path.join(root, file), 'utf8'))).toEqual([]);
  });
});

describe('the changelog', () => {
  const changelog = (heading: string) => `# Changelog\n\n${heading}\n\n- New.\n\n## [0.9.0] - 2025-01-01\n`;

  test.each([
    ['## [1.0.0] - 2026-01-31', true, []],
    ['## [1.0.0] - unreleased', false, []],
    ['## [1.0.0] - unreleased', true, ['1.0.0 has no date']],
    ['## [1.0.1] - 2026-01-31', false, ['expected the newest version to be 1.0.0, found 1.0.1']],
    ['', false, ['expected the newest version to be 1.0.0, found 0.9.0']],
  ])('%s, to be published: %s', (heading, publish, expected) => {
    expect(changelogProblems(changelog(heading), '1.0.0', publish)).toEqual(expected);
  });

  test('without a version', () => {
    expect(changelogProblems('# Changelog\n', '1.0.0', false)).toHaveLength(1);
  });
});

describe('the bill of materials', () => {
  const mit = [{ license: { id: 'MIT' } }];
  const bill = {
    metadata: { component: { name: 'application', version: '1.0.0' } },
    components: [
      { name: 'qarepvgg', version: '0.1.0', licenses: mit },
      { name: 'bindings', version: '1.5.0', licenses: mit },
    ],
    dependencies: [
      { ref: 'application@1.0.0', dependsOn: ['qarepvgg@0.1.0'] },
      { ref: 'qarepvgg@0.1.0', dependsOn: ['bindings@1.5.0'] },
    ],
  };

  test('is that of the package, with its native parts', () => {
    const native = nativeComponents('libgomp1 12.2.0-14', { 'node-addon-api': '8.9.0' });
    const { metadata, components, dependencies } = billOfPackage(bill, 'qarepvgg', native);
    expect(metadata.component.name).toBe('qarepvgg');
    expect(components.map(({ name, version }) => `${name} ${version}`)).toEqual([
      'bindings 1.5.0',
      'libgomp1 12.2.0-14',
      'node-addon-api 8.9.0',
    ]);
    expect(dependencies).toEqual([bill.dependencies[1]]);
    expect(() => billOfPackage(bill, 'another', native)).toThrow('expected a component another');
  });

  test('licences that ask for more than a notice', () => {
    expect(licenceProblems(bill)).toEqual([]);
    const components = [
      { name: 'copyleft', version: '1.0.0', licenses: [{ license: { id: 'AGPL-3.0' } }] },
      { name: 'silent', version: '1.0.0' },
    ];
    expect(licenceProblems({ ...bill, components })).toEqual(['copyleft: licence AGPL-3.0', 'silent: licence unknown']);
  });
});
