import type { FastifyInstance } from 'fastify';
import { contentSecurityPolicy, homePage } from '../page/page';
import { route } from './context';

/** A page for people. It needs no token itself: its script fetches the data, with the token if there is one. */
export async function page(app: FastifyInstance): Promise<void> {
  route(
    app,
    'GET',
    '/',
    (_request, reply) =>
      reply
        .headers({
          'content-security-policy': contentSecurityPolicy,
          'referrer-policy': 'no-referrer',
          'x-content-type-options': 'nosniff',
          'cache-control': 'no-cache',
        })
        .type('text/html; charset=utf-8')
        .send(homePage),
    { isOpen: true },
  );
}
