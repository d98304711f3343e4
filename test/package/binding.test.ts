import { readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import type { ConvOp, ProgramSpec } from '../../binding';
import { addon } from '../../lib/binding';

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

test('a program has no activation without a gradient', () => {
  const conv = {
    op: 'conv',
    input: 0,
    outChannels: 1,
    kernel: 1,
    stride: 1,
    padding: 0,
    dilation: 1,
    groups: 1,
    weight: 0,
  };
  const specOf = (activation: string): ProgramSpec => ({
    input: [1, 1, 1, 1],
    ops: [{ ...conv, activation } as ConvOp],
    stateLength: 1,
    training: false,
    gradients: true,
  });
  const outputOf = (activation: string): Float32Array =>
    new addon.Program(specOf(activation)).forward(Float32Array.of(-2), Float32Array.of(3));
  expect(outputOf('none')).toEqual(Float32Array.of(-6));
  expect(outputOf('relu')).toEqual(Float32Array.of(0));
  expect(() => outputOf('sigmoid')).toThrow("expected an activation of relu or none, received 'sigmoid'");
});

test('info() has exactly the members that binding.d.ts declares', () => {
  expect(Object.keys(addon.info()).sort()).toEqual(membersOf('NativeInfo'));
});
