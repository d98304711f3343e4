import type { FastifyInstance, FastifyRequest } from 'fastify';

const traceparent = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/;

/** What log lines tell of a request: never a body, a tensor or a token. */
export function traceOf({ headers }: FastifyRequest): { trace_id?: string; parent_span_id?: string } {
  const match = traceparent.exec(String(headers.traceparent));
  return match ? { trace_id: match[1] as string, parent_span_id: match[2] as string } : {};
}

/** One line for each request, at level info; for failures of the server at level error. */
export function logRequests(app: FastifyInstance, level: string): void {
  const isVerbose = level === 'info' || level === 'debug';
  app.addHook('onResponse', (request, reply, done) => {
    done();
    const isError = reply.statusCode === 500;
    if (!isError && !isVerbose) return;
    const line = {
      method: request.method,
      route: request.routeOptions.url,
      ...(request.servedModel !== undefined && { model: request.servedModel }),
      status: reply.statusCode,
      milliseconds: Math.round(reply.elapsedTime * 1000) / 1000,
      ...traceOf(request),
    };
    if (isError) request.log.error(line, 'request');
    else request.log.info(line, 'request');
  });
}
