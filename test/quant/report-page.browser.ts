import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { loadFashionMnist, loadModel, type Network, quantize, renderReport } from '../../lib';
import { root } from '../support/child';
import { Chromium } from '../support/chromium';
import { temporaryFolder } from '../support/formats';

const file = path.join(temporaryFolder(), 'report.html');
let browser: Chromium;

beforeAll(async () => {
  const network = (await loadModel<Network>(path.join(root, 'models/fashion-mnist.safetensors'))).reparameterize();
  const images = await loadFashionMnist(path.join(root, 'examples/data/fashion-mnist'), 'train');
  const { report } = await quantize(network, images.subset([0, 1, 2, 3, 4, 5, 6, 7]));
  const accuracy = { images: 1000, float: 0.924, quantized: 0.923, agreement: 0.995 };
  writeFileSync(file, renderReport({ ...report, accuracy }));
  browser = await Chromium.open(pathToFileURL(file).href);
  await browser.waitFor("document.readyState === 'complete'");
});

afterAll(() => browser?.close());

const setWidth = (width: number): Promise<unknown> =>
  browser.send('Emulation.setDeviceMetricsOverride', { width, height: 900, deviceScaleFactor: 1, mobile: false });
const setMedia = (media: string, scheme: string): Promise<unknown> =>
  browser.send('Emulation.setEmulatedMedia', { media, features: [{ name: 'prefers-color-scheme', value: scheme }] });
const background = (): Promise<unknown> => browser.evaluate('getComputedStyle(document.body).backgroundColor');

/** Parts that are wider than their place. */
const scrolling = (selector: string): Promise<unknown> =>
  browser.evaluate(
    `[...document.querySelectorAll('${selector}')].filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.scrollWidth - one.clientWidth)`,
  );

test('nothing scrolls sideways at 1,200 pixels; on a phone plots and tables do, and the page does not', async () => {
  await setWidth(1200);
  expect(await scrolling('.scroll, html')).toEqual([]);
  await setWidth(400);
  expect(await scrolling('html')).toEqual([]);
  expect(await scrolling('.scroll')).not.toEqual([]);
});

test('dark where the reader wants it, light on paper, where nothing is cut off', async () => {
  await setWidth(1200);
  await setMedia('screen', 'light');
  expect(await background()).toBe('rgb(255, 255, 255)');
  await setMedia('screen', 'dark');
  expect(await background()).toBe('rgb(18, 22, 28)');
  await setWidth(700); // A4 without its margins
  await setMedia('print', 'dark');
  expect(await background()).toBe('rgb(255, 255, 255)');
  expect(await scrolling('html')).toEqual([]);
});

test('says when, and what the accuracy was before and after', async () => {
  const text = (await browser.evaluate('document.body.innerText')) as string;
  expect(text).toMatch(/\d{4}-\d\d-\d\d \d\d:\d\d UTC/);
  expect(text).toMatch(/accuracy in float\s+92\.40 %/);
  expect(text).toMatch(/accuracy quantised\s+92\.30 %/);
  expect(browser.problems).toEqual([]);
});
