import type { FastifyInstance } from 'fastify';
import type { Registry } from 'prom-client';
import { route } from './context';

/** Metrics for Prometheus. */
export async function metrics(app: FastifyInstance, { registry }: { registry: Registry }): Promise<void> {
  route(app, 'GET', '/metrics', async (_request, reply) => {
    const text = await registry.metrics();
    return reply.type(registry.contentType).send(text);
  });
}
