import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable, Writable } from 'node:stream';

type Answer = Record<string, unknown>;

/** A headless Chromium with one page, told what to do through its pipe of the DevTools protocol. */
export class Chromium {
  readonly #process: ChildProcess;
  readonly #folder: string;
  readonly #waiting = new Map<number, { resolve(value: Answer): void; reject(error: Error): void }>();
  /** Problems that the page reported: exceptions, refused resources, errors on the console. */
  readonly problems: string[] = [];
  #session: string | undefined;
  #next = 1;

  private constructor() {
    this.#folder = mkdtempSync(path.join(tmpdir(), 'qarepvgg-chromium-'));
    const args = ['--headless=new', '--no-sandbox', '--disable-gpu', '--remote-debugging-pipe', '--no-first-run'];
    this.#process = spawn(
      'chromium',
      [...args, `--user-data-dir=${this.#folder}`, '--window-size=1200,900', 'about:blank'],
      {
        stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
      },
    );
    let text = '';
    (this.#process.stdio[4] as Readable).on('data', (chunk) => {
      const messages = (text + chunk).split('\0');
      text = messages.pop() as string;
      for (const message of messages) this.#receive(JSON.parse(message));
    });
  }

  static async open(url: string): Promise<Chromium> {
    const browser = new Chromium();
    const { targetId } = await browser.send('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await browser.send('Target.attachToTarget', { targetId, flatten: true });
    browser.#session = sessionId as string;
    for (const domain of ['Page', 'Runtime', 'Log', 'DOM']) await browser.send(`${domain}.enable`);
    await browser.send('Page.navigate', { url });
    return browser;
  }

  send(method: string, params: object = {}): Promise<Answer> {
    const id = this.#next++;
    const message = { id, method, params, ...(this.#session && { sessionId: this.#session }) };
    (this.#process.stdio[3] as Writable).write(`${JSON.stringify(message)}\0`);
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  /** The value of an expression in the page. */
  async evaluate(expression: string): Promise<unknown> {
    const { result } = await this.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    return (result as { value: unknown }).value;
  }

  async waitFor(expression: string): Promise<void> {
    for (let i = 0; i < 300; i++) {
      if (await this.evaluate(expression)) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`never true in the page: ${expression}\n${this.problems.join('\n')}`);
  }

  /** What a person does who chooses a file. */
  async chooseFile(selector: string, file: string): Promise<void> {
    const { root } = await this.send('DOM.getDocument');
    const { nodeId } = await this.send('DOM.querySelector', { nodeId: (root as { nodeId: number }).nodeId, selector });
    await this.send('DOM.setFileInputFiles', { files: [file], nodeId });
  }

  /** A PNG. */
  async screenshot(): Promise<Buffer> {
    const { data } = await this.send('Page.captureScreenshot', { format: 'png', captureBeyondViewport: true });
    return Buffer.from(data as string, 'base64');
  }

  /** Asks it to exit rather than kills it: processes of its own would still write to its folder. */
  async close(): Promise<void> {
    const exit = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#session = undefined;
    this.send('Browser.close').catch(() => {});
    await exit;
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 20 });
  }

  #receive(message: {
    id?: number;
    result?: Answer;
    error?: { message: string };
    method?: string;
    params?: Answer;
  }): void {
    if (message.id !== undefined) {
      const waiting = this.#waiting.get(message.id);
      this.#waiting.delete(message.id);
      if (message.error) waiting?.reject(new Error(message.error.message));
      else waiting?.resolve(message.result as Answer);
      return;
    }
    if (message.method === 'Runtime.exceptionThrown' || message.method === 'Log.entryAdded') {
      this.problems.push(JSON.stringify(message.params));
    }
  }
}
