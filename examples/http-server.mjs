// node examples/http-server.mjs [model file] [port]
//
// A classifier behind node:http that stays responsive: `session.run` computes off the JavaScript thread, so that /health and
// the sockets are served all the while. Without a model file, a small untrained network answers.
//
//   curl http://localhost:3000/health
//   head -c 3072 /dev/urandom | curl --data-binary @- http://localhost:3000/classify

import { createServer } from 'node:http';
import { createModel, InferenceSession, loadModel } from 'qarepvgg';

const [file, port = '3000'] = process.argv.slice(2);
/** The model, ready to run; a file that cannot be served is no reason for a stack trace. */
async function open() {
  const model = file
    ? await loadModel(file)
    : createModel('qarepvgg_a0', { numClasses: 10, inputSize: 32, channels: [32, 32, 64, 128, 256] }).reparameterize();
  return { model, session: await InferenceSession.create(model) };
}

const { model, session } = await open().catch((error) => {
  console.error(`${file}: ${error.message}`);
  process.exit(1);
});
const { inputSize, labels } = session;
const dims = [1, ...(inputSize ?? []), model.options.inChannels];
const imageBytes = dims.reduce((product, size) => product * size);

/** More than that would only wait. */
const maxRequests = 100;
let requests = 0;

/** @param {import('node:http').IncomingMessage} request @param {AbortSignal} signal */
async function classify(request, signal) {
  const data = new Uint8Array(imageBytes);
  let length = 0;
  for await (const chunk of request) {
    data.set(chunk, length);
    length += chunk.length;
  }
  const { logits } = await session.run({ input: { data, dims } }, { signal });
  const best = logits.data.indexOf(Math.max(...logits.data));
  return { class: best, label: labels?.[best], logit: logits.data[best] };
}

const server = createServer(async (request, response) => {
  /** @param {number} status @param {string | object} body */
  const answer = (status, body) => {
    response.writeHead(status, { 'content-type': typeof body === 'string' ? 'text/plain' : 'application/json' });
    response.end(`${typeof body === 'string' ? body : JSON.stringify(body)}\n`);
  };
  if (request.url === '/health') return answer(200, 'ok');
  if (request.url !== '/classify' || request.method !== 'POST') return answer(404, 'POST /classify or GET /health');
  // Node lets through just as many bytes as this header says.
  if (Number(request.headers['content-length']) !== imageBytes) {
    return answer(400, `expected ${imageBytes} bytes, ${dims.slice(1).join(' x ')}, channels last`);
  }
  if (requests >= maxRequests) return answer(503, 'busy');

  requests++;
  // What nobody waits for is not computed.
  const client = new AbortController();
  response.on('close', () => client.abort());
  try {
    answer(200, await classify(request, client.signal));
  } catch (error) {
    if (client.signal.aborted) return;
    console.error(error);
    answer(500, 'failed');
  } finally {
    requests--;
  }
});

server.listen(Number(port), () => {
  const address = server.address();
  console.log(`listening on port ${typeof address === 'object' ? address?.port : address}`);
});

process.once('SIGTERM', () => {
  server.close(() => session.dispose());
  server.closeIdleConnections();
});
