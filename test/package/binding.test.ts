import { readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import type { ProgramNode, ProgramSpec } from '../../binding';
import { addon } from '../../lib/binding';
import { windowAttributes } from '../support/window';

const declarations = ts.createSourceFile(
  'binding.d.ts',
  readFileSync(path.join(__dirname, '../..', 'binding.d.ts'), 'utf8'),
  ts.ScriptTarget.Latest,
  true,
);

/** Names of the members of an interface in binding.d.ts, sorted. */
function membersOf(name: string): string[] {
  const found = declarations.statements.filter(ts.isInterfaceDeclaration).find((one) => one.name.text === name);
  if (!found) throw new Error(`expected interface ${name} in binding.d.ts`);
  return found.members.map((member) => member.name?.getText() ?? '(unnamed)').sort();
}

test('the addon has exactly the members that binding.d.ts declares', () => {
  // `bindings` writes the file it loaded into an extra member, `path`.
  const members = Object.keys(addon).filter((key) => key !== 'path');
  expect(members.sort()).toEqual(membersOf('Addon'));
});

test('a program has exactly the members that binding.d.ts declares', () => {
  const members = Object.getOwnPropertyNames(addon.Program.prototype).filter((key) => key !== 'constructor');
  expect(members.sort()).toEqual(membersOf('Program'));
});

describe('a program', () => {
  const window = windowAttributes({ kernel: 1, stride: 1, padding: 0, dilation: 1, groups: 1 });
  const conv = { op: 'conv', name: 'dense', inputs: [0, 1], attributes: window };
  const specOf = (node: Partial<ProgramNode>): ProgramSpec => ({
    input: [1, 1, 1, 1],
    tensors: [{ offset: 0, dims: [1, 1, 1, 1] }],
    nodes: [{ ...conv, ...node }],
    stateLength: 1,
    training: false,
    gradients: true,
  });
  const outputOf = (activation: string): Float32Array =>
    new addon.Program(specOf({ attributes: { ...window, activation } })).forward(
      Float32Array.of(-2),
      Float32Array.of(3),
    );

  test('has no activation without a gradient', () => {
    expect(outputOf('none')).toEqual(Float32Array.of(-6));
    expect(outputOf('relu')).toEqual(Float32Array.of(0));
    expect(() => outputOf('sigmoid')).toThrow("expected an activation of relu or none, received 'sigmoid'");
  });

  test.each<[string, Partial<ProgramNode>, string, string]>([
    [
      'an op that cannot be trained',
      { op: 'maxPool' },
      'ERR_MODEL_INCOMPATIBLE',
      '(maxPool): expected an op that can be trained',
    ],
    ['an unknown op', { op: 'magic' }, 'ERR_MODEL_INCOMPATIBLE', "received 'magic'"],
    ['an operand of later', { inputs: [2, 1] }, 'ERR_INVALID_ARG', 'received value 2'],
    ['a tensor as image', { inputs: [1, 1] }, 'ERR_INVALID_ARG', 'expected operand 0 to be the input'],
    ['an image as weight', { inputs: [0, 0] }, 'ERR_INVALID_ARG', 'expected operand 1 to be a tensor of the state'],
    ['no weight', { inputs: [0, -1] }, 'ERR_INVALID_ARG', 'expected from 2 to 3 operands'],
    ['a weight of another kernel', { attributes: { ...window, kernel: [3, 3] } }, 'ERR_SHAPE', '[1, 1, 3, 3]'],
    ['an attribute of another kind', { attributes: { ...window, group: 'one' } }, 'ERR_INVALID_ARG', 'expected group'],
    ['no attributes', { attributes: {} }, 'ERR_INVALID_ARG', 'expected an attribute'],
  ])('refuses %s', (_, node, code, message) => {
    const make = () => new addon.Program(specOf(node));
    expect(make).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }));
    expect(make).toThrow("node 'dense'");
  });
});

test('info() has exactly the members that binding.d.ts declares', () => {
  expect(Object.keys(addon.info()).sort()).toEqual(membersOf('NativeInfo'));
});
