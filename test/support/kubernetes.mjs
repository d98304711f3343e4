// node kubernetes.mjs FILE: checks each document of a YAML file against the schema of its kind; prints { kind: error or null }. Of a
// ServingRuntime of KServe, which has no schema here, the containers are checked as those of a pod.

import { readFileSync } from 'node:fs';
import { Deployment } from 'kubernetes-models/apps/v1';
import { HorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1';
import { Pod, Service } from 'kubernetes-models/v1';
import { parseAllDocuments } from 'yaml';

/** @type {Record<string, new (document: any) => { validate(): void }>} */
const kinds = { Deployment, HorizontalPodAutoscaler, Pod, PodDisruptionBudget, Service };

const results = parseAllDocuments(readFileSync(String(process.argv[2]), 'utf8')).flatMap((text) => {
  const document = text.toJS();
  const isRuntime = document.kind === 'ServingRuntime';
  const { kind, ...fields } = isRuntime ? { kind: 'Pod', spec: { containers: document.spec.containers } } : document;
  const Kind = kinds[kind];
  if (!Kind) return [];
  try {
    const model = new Kind(fields);
    model.validate();
    return [[kind, null]];
  } catch (error) {
    return [[kind, error instanceof Error ? error.message : String(error)]];
  }
});
console.log(JSON.stringify(Object.fromEntries(results)));
