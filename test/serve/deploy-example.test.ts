import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Command } from 'commander';
import { parseAllDocuments } from 'yaml';
import { addServeCommand } from '../../lib/cli/serve-command';
import { jsonOf, root } from '../support/child';
import { temporaryFolder } from '../support/formats';

const folder = temporaryFolder();
const example = (name: string) => path.join(root, 'examples/deploy', name);
const read = (name: string) => readFileSync(example(name), 'utf8');

/** Of each document, what does not fit the schema of its kind. */
const check = (file: string) => jsonOf<Record<string, string | null>>(['test/support/kubernetes.mjs', file]);

test('the manifests fit the schemas of Kubernetes', () => {
  expect(check(example('kubernetes.yaml'))).toEqual({
    Deployment: null,
    Service: null,
    HorizontalPodAutoscaler: null,
    PodDisruptionBudget: null,
  });
  const wrong = path.join(folder, 'wrong.yaml');
  writeFileSync(wrong, read('kubernetes.yaml').replace('replicas: 2', 'replicas: two'));
  expect(check(wrong).Deployment).toMatch('replicas');
});

test('the containers of the KServe runtime fit the schema of a pod', () => {
  expect(check(example('kserve.yaml'))).toEqual({ Pod: null });
  const [runtime, service] = parseAllDocuments(read('kserve.yaml')).map((document) => document.toJS());
  expect(runtime.spec.containers.map(({ name }: { name: string }) => name)).toEqual(['kserve-container']);
  expect(service.spec.predictor.model.runtime).toBe(runtime.metadata.name);
});

test('all options in the examples are those of the serve command', () => {
  const program = new Command();
  addServeCommand(program);
  const known = program.commands[0]?.options.map(({ long }) => long);
  const texts = ['Dockerfile', 'kubernetes.yaml', 'kserve.yaml'].map(read).join('\n');
  const used = [...texts.matchAll(/"(--[a-z-]+)"/g)].map(([, option]) => option);
  expect(used.length).toBeGreaterThan(5);
  expect(known).toEqual(expect.arrayContaining(used));
});
