import type { FastifyInstance } from 'fastify';
import { modelConfig, modelStats } from '../descriptions';
import { type Context, modelOf, modelRoute, route } from './context';

export const extensions = [
  'binary_tensor_data',
  'classification',
  'model_configuration',
  'model_repository',
  'statistics',
];

/** What the server and its models are: metadata, configuration, statistics. */
export async function metadata(app: FastifyInstance, context: Context): Promise<void> {
  const { registry } = context;
  route(app, 'GET', '/v2', () => ({ name: 'qarepvgg', version: context.version, extensions }));
  route(app, 'GET', '/v2/models', () => ({ models: registry.names() }));
  route(app, 'GET', '/v2/models/stats', () => ({ model_stats: registry.list().map(modelStats) }));
  modelRoute(app, 'GET', '', (request) => modelOf(request, context).metadata());
  modelRoute(app, 'GET', '/config', (request) => modelConfig(modelOf(request, context)));
  modelRoute(app, 'GET', '/stats', (request) => ({ model_stats: [modelStats(modelOf(request, context))] }));
}
