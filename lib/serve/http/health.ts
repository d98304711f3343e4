import type { FastifyInstance } from 'fastify';
import { type Context, modelOf, modelRoute, route } from './context';

/** Health: clients go by the status; the bodies are those of KServe. */
export async function health(app: FastifyInstance, context: Context): Promise<void> {
  const { registry } = context;
  // Liveness does not depend on load: an overloaded server must not be restarted.
  route(app, 'GET', '/v2/health/live', () => ({ live: true }), { isOpen: true });
  route(
    app,
    'GET',
    '/v2/health/ready',
    (_request, reply) => {
      const ready = registry.isReady;
      return reply.code(ready ? 200 : 503).send({ ready, live: true });
    },
    { isOpen: true },
  );
  modelRoute(app, 'GET', '/ready', (request, reply) => {
    const { name } = modelOf(request, context);
    const ready = registry.isReady;
    return reply.code(ready ? 200 : 503).send({ name, ready });
  });
}
