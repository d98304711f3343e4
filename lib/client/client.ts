import { types } from 'node:util';
import { boundary, describe, failure, mismatch, QARepVGGError, quote, within } from '../errors';
import { parseOptions } from '../options';
import { decodeInference, readJson, readObject, unexpected } from './answer';
import { type Body, type Call, octets, type Reply, Transport } from './http';
import { encodeRequest } from './infer';
import {
  type CallOptions,
  type CheckedCall,
  type ClassifyOptions,
  type ClientOptions,
  callFields,
  classifyFields,
  clientFields,
  type InferOptions,
  inferFields,
  type ModelOptions,
  modelFields,
  type Settings,
  text,
} from './options';
import { readRankedStrings, readRanking } from './ranking';
import { withRetries } from './retry';
import type {
  Inference,
  ModelMetadata,
  ModelStatistics,
  RankedClass,
  RemoteInput,
  RepositoryEntry,
  ServerMetadata,
} from './types';

/**
 * A client of a server that speaks the Open Inference Protocol over HTTP: `qarepvgg serve`, KServe, Triton, OpenVINO Model
 * Server, MLServer. Nothing is sent before the first call.
 *
 * @throws {QARepVGGError} ERR_INVALID_ARG
 *
 * @example
 * const client = connect('http://127.0.0.1:8080');
 * const { outputs } = await client.infer('model', { input: { data: pixels, dims: [1, 224, 224, 3] } });
 * console.log(outputs.logits.data);
 */
export function connect(url: string | URL, options: ClientOptions = {}): InferenceClient {
  return boundary('connect', () => {
    const settings = parseOptions(clientFields, options);
    const base = URL.canParse(String(url)) ? new URL(url) : undefined;
    if (base && /^https?:$/.test(base.protocol)) return new InferenceClient(base, settings);
    throw mismatch('ERR_INVALID_ARG', 'url', 'an http or https URL', describe(url));
  });
}

/** Made by {@link connect}. Any number of calls may run at once; they share the client's connections. */
export class InferenceClient {
  readonly #transport: Transport;
  readonly #settings: Settings;

  /** @internal */
  constructor(base: URL, settings: Settings) {
    this.#settings = settings;
    this.#transport = new Transport(base, settings);
  }

  /** Whether the server runs; also false where none answers. */
  live(options: CallOptions = {}): Promise<boolean> {
    return boundary('InferenceClient.live', () => this.#probe('/v2/health/live', parseOptions(callFields, options)));
  }

  /** Whether the server can infer; also false where none answers. */
  ready(options: CallOptions = {}): Promise<boolean> {
    return boundary('InferenceClient.ready', () => this.#probe('/v2/health/ready', parseOptions(callFields, options)));
  }

  /** Whether one model can infer. */
  modelReady(model: string, options: ModelOptions = {}): Promise<boolean> {
    return boundary('InferenceClient.modelReady', () => {
      const { version, ...call } = parseOptions(modelFields, options);
      return this.#probe(`${modelPath(model, version)}/ready`, call);
    });
  }

  async metadata(options: CallOptions = {}): Promise<ServerMetadata> {
    const answer = boundary('InferenceClient.metadata', () => this.#get('/v2', parseOptions(callFields, options)));
    return (await answer) as unknown as ServerMetadata;
  }

  async modelMetadata(model: string, options: ModelOptions = {}): Promise<ModelMetadata> {
    const answer = boundary('InferenceClient.modelMetadata', () => this.#ofModel(model, '', options));
    return (await answer) as unknown as ModelMetadata;
  }

  /** The model's configuration in the form of Triton's `model_config.proto`, from servers that have one. */
  modelConfig(model: string, options: ModelOptions = {}): Promise<Readonly<Record<string, unknown>>> {
    return boundary('InferenceClient.modelConfig', () => this.#ofModel(model, '/config', options));
  }

  /** Counts and times of a model's requests so far. */
  async stats(model: string, options: ModelOptions = {}): Promise<ModelStatistics> {
    return boundary('InferenceClient.stats', async () => {
      const { model_stats: list } = await this.#ofModel(model, '/stats', options);
      const found = Array.isArray(list) ? list.find((item) => item?.name === model) : undefined;
      if (found) return found;
      throw unexpected(`statistics of ${quote(model)}`, describe(list));
    });
  }

  /** The models that the server knows, loaded or not. */
  async repository(options: CallOptions = {}): Promise<RepositoryEntry[]> {
    return boundary('InferenceClient.repository', async () => {
      const call = parseOptions(callFields, options);
      const { body } = await this.#send(postJson('/v2/repository/index', {}), call);
      const entries = readJson(body);
      if (Array.isArray(entries)) return entries;
      throw unexpected('a list of models', describe(entries));
    });
  }

  /** Loads a model of the server's repository, or loads it again. Servers ask for a token. */
  async load(model: string, options: CallOptions = {}): Promise<void> {
    await this.#manage(model, 'load', options);
  }

  async unload(model: string, options: CallOptions = {}): Promise<void> {
    await this.#manage(model, 'unload', options);
  }

  /**
   * Runs a model. Feeds are named tensors, as for `InferenceSession.run`; they are copied before the call returns its promise.
   * After a status of 503 or a lost connection it tries again, within the timeout.
   *
   * @throws {QARepVGGError} (rejects) ERR_STATUS with the server's words and the `status`; ERR_CONNECTION; ERR_TIMEOUT;
   * ERR_ABORTED, its cause the signal's reason; ERR_PROTOCOL for an answer that breaks the protocol; ERR_LIMIT;
   * ERR_INVALID_ARG, ERR_SHAPE, ERR_DTYPE for feeds.
   */
  async infer(
    model: string,
    feeds: Readonly<Record<string, RemoteInput>>,
    options: InferOptions = {},
  ): Promise<Inference> {
    return boundary('InferenceClient.infer', async () => {
      const { version, outputs, id, parameters, headers, binary, ...call } = parseOptions(inferFields, options);
      const path = `${modelPath(model, version)}/infer`;
      const wanted = outputs?.map((name) => ({ name, parameters: {} }));
      const body = encodeRequest(feeds, { id, parameters, outputs: wanted, binary });
      return decodeInference(await this.#send(post(path, body, headers), call));
    });
  }

  /**
   * The likeliest classes, best first. An image file (JPEG or PNG, as bytes) goes to the `classify` route of `qarepvgg serve`;
   * feeds go to any server with the protocol's classification extension, for its first output.
   *
   * @throws {QARepVGGError} (rejects) the errors of {@link infer}
   */
  async classify(
    model: string,
    image: Uint8Array | Readonly<Record<string, RemoteInput>>,
    options: ClassifyOptions = {},
  ): Promise<RankedClass[]> {
    return boundary('InferenceClient.classify', async () => {
      const { version, top, headers, ...call } = parseOptions(classifyFields, options);
      const path = modelPath(model, version);
      if (types.isUint8Array(image)) {
        const body = { bytes: Uint8Array.from(image), headers: { 'content-type': octets } };
        const reply = await this.#send(post(`${path}/classify?top=${top}`, body, headers), call);
        return readRanking(readObject(reply.body));
      }
      const { outputs: known } = (await this.#get(path, call)) as unknown as ModelMetadata;
      const output = known?.[0];
      if (!output) throw unexpected('a model with an output', 'none');
      const outputs = [{ name: output.name, parameters: { classification: top } }];
      const body = encodeRequest(image, { parameters: {}, outputs, binary: true });
      return readRankedStrings(decodeInference(await this.#send(post(`${path}/infer`, body, headers), call)));
    });
  }

  /** Closes all connections; pending calls fail. */
  close(): void {
    this.#transport.close();
  }

  async #probe(path: string, call: CheckedCall): Promise<boolean> {
    try {
      return (await this.#ask({ method: 'GET', path, headers: {} }, call, 0)).status === 200;
    } catch (error) {
      if (error instanceof QARepVGGError && error.code === 'ERR_CONNECTION') return false;
      throw error;
    }
  }

  async #ofModel(model: string, route: string, options: ModelOptions) {
    const { version, ...call } = parseOptions(modelFields, options);
    return this.#get(`${modelPath(model, version)}${route}`, call);
  }

  async #get(path: string, call: CheckedCall) {
    const { body } = await this.#send({ method: 'GET', path, headers: {} }, call);
    return readObject(body);
  }

  async #manage(model: string, action: 'load' | 'unload', options: CallOptions): Promise<void> {
    await boundary(`InferenceClient.${action}`, () => {
      const call = parseOptions(callFields, options);
      const name = within('model', () => text(model));
      return this.#send(postJson(`/v2/repository/models/${encodeURIComponent(name)}/${action}`, {}), call);
    });
  }

  /** @throws {QARepVGGError} (rejects) ERR_STATUS for an answer that is an error. */
  async #send(request: Call, call: CheckedCall): Promise<Reply> {
    const reply = await this.#ask(request, call, this.#settings.retries);
    if (reply.status === 200) return reply;
    const message = `expected status 200, received ${reply.status}: ${reasonOf(reply.body)}`;
    throw Object.assign(failure('ERR_STATUS', message), { status: reply.status });
  }

  #ask(request: Call, call: CheckedCall, retries: number): Promise<Reply> {
    const { signal, timeout = this.#settings.timeout } = call;
    return withRetries((own) => this.#transport.send(request, own), { signal, timeout, retries });
  }
}

function post(path: string, { bytes, headers }: Body, more: Body['headers']): Call {
  return { method: 'POST', path, headers: { ...more, ...headers }, ...(bytes && { bytes }) };
}

function postJson(path: string, body: object): Call {
  const bytes = Buffer.from(JSON.stringify(body));
  return { method: 'POST', path, headers: { 'content-type': 'application/json' }, bytes };
}

function modelPath(model: unknown, version: string | undefined): string {
  const path = `/v2/models/${encodeURIComponent(within('model', () => text(model)))}`;
  return version === undefined ? path : `${path}/versions/${encodeURIComponent(version)}`;
}

/** What a server says of an error, in the protocol's form or another. */
function reasonOf(body: Buffer): string {
  try {
    const { error } = JSON.parse(body.toString());
    if (typeof error === 'string') return quote(error);
  } catch {
    // Not JSON: perhaps the answer of a proxy.
  }
  return quote(body.subarray(0, 300).toString());
}
